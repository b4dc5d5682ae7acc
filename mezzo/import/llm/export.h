// Language models in other programs' formats. Codes and scales go over as they are: nothing is
// rounded that the format can hold. Where it cannot, what is returned says so, a sentence each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mezzo/import/llm/model.h"

namespace mezzo {

// A GGUF file, as llama.cpp reads it, with the tokenizer. Four-bit layers become Q4_0, Q4_1 (with
// zero points) or IQ4_NL, int8 rows Q8_0, float weights F32. Scales are binary16 there: bfloat16
// ones are rounded below 2^-17, zero points' offsets where they have over 11 bits. Activations are
// float there, and weights scale * code without rounding to FP8.
//
// UsageError for recovery paths, NF4, groups or rows that are no multiple of 32, and rotary scaling
// that GGUF has no field for; FileError for scales beyond binary16, naming the tensor.
std::vector<std::string> ExportGguf(const LanguageModel& model, const std::filesystem::path& out);

// A Hugging Face folder whose config.json has a quantization_config of compressed-tensors, format
// pack-quantized: four-bit layers as they are, everything else in bfloat16 or float32. It is made
// as OUT.part and renamed when it is whole. Recovery paths go beside it as PEFT's adapters.
//
// UsageError if `out` exists, for a model without codes or with codes other than int4, for groups
// that are no multiple of 32, activation groups, and GPT-2, whose layers are no Linear there.
std::vector<std::string> ExportCompressedTensors(const LanguageModel& model,
                                                 const std::filesystem::path& out);

}  // namespace mezzo
