// The Plan of a language model, JSON: the formats, and for each linear layer its precision.
//
//   {"mezzo_llm_plan": 1, "quantization": {...}, "bits_per_weight": 4.125, "float_head": false,
//    "rotated": false, "calibration_windows": 20,
//    "layers": [{"layer": "model.layers.0.mlp.up_proj", "precision": "4bit", "recovery_rank": 8,
//                "error": 0.012}]}
//
// "quantization" as in import/llm/quantized.h; the bits, which follow from it, are those of
// four-bit layers. Layers that are not named take four bits without a path; only layers in four
// bits have one.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "mezzo/algorithm/llm/quantized_folder.h"

namespace mezzo {

struct LayerOutcome {
  std::string name;
  double error = 0;    // of the layer's outputs, as a share of their power; NaN if unknown
  double damping = 0;  // that its Hessian took
};

struct LlmPlan {
  LlmQuantization stored;
  bool float_head = false;  // embedding and head as they are, not in int8
  bool rotated = false;     // LanguageModel::Rotated
  LlmPrecisions precisions;
  LlmRanks ranks;  // above 0
  size_t calibration_windows = 0;
  std::vector<LayerOutcome> layers;  // in the order of the blocks
};

std::string ToJson(const LlmPlan& plan);
// FileError naming `where` and the field that is missing, unknown or out of range.
LlmPlan LlmPlanFromJson(const std::string& text, const std::string& where);
LlmPlan ReadLlmPlan(const std::filesystem::path& path);

}  // namespace mezzo
