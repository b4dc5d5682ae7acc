// Recovery paths beside a model's linear layers, as PEFT stores LoRA adapters
// (https://huggingface.co/docs/peft): in the model's folder
//
//   adapter_config.json        "peft_type": "LORA", "r", "lora_alpha", "rank_pattern", ...
//   adapter_model.safetensors  base_model.model.LAYER.lora_A.weight (rank, inputs)
//                              base_model.model.LAYER.lora_B.weight (outputs, rank)
#pragma once

#include <filesystem>

#include "mezzo/base/error.h"
#include "mezzo/checkpoint/checkpoint.h"
#include "mezzo/import/llm/quantized.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

// What graphs call a path's matrices, behind the layer's name, as PEFT's files do.
inline constexpr const char *kPathA = ".lora_A.weight", *kPathB = ".lora_B.weight";

bool HoldsAdapters(const std::filesystem::path& folder);

// With PEFT's factor lora_alpha / r (alpha_pattern / rank_pattern) in B. Throws FileError naming
// file and tensor for another kind of adapter, a matrix without its partner, or ranks that differ.
LowRanks ReadAdapters(const std::filesystem::path& folder);

// In bfloat16, which the paths are rounded to. `base` is the model that PEFT will load; GPT-2's
// matrices are (inputs, outputs) there, which `gpt2` says.
void WriteAdapters(const std::filesystem::path& folder, const LowRanks& paths,
                   const std::string& base, bool gpt2);

// The matrices as they stand in adapter_model.safetensors, and the paths among the tensors of a
// checkpoint that may hold others. FileError for a matrix without its partner, or ranks that
// differ.
std::vector<TensorBytes> PathTensors(const LowRanks& paths);
LowRanks PathsIn(const Checkpoint& c);

}  // namespace mezzo
