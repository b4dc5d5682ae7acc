// Sensitivity of a language model's linear layers (sensitivity.h), a block's weights in memory at a
// time: the loss is the mean over tokens of the KL divergence from the model's own predictions.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mezzo/algorithm/sensitivity/sensitivity.h"
#include "mezzo/runtime/language.h"

namespace mezzo {

struct TextSensitivityTask {
  // Q(W) - W for each candidate of a linear layer, by its node's name and weight (outputs, inputs).
  std::function<std::vector<Tensor>(const std::string& layer, const Tensor& weight)> deltas;
  std::vector<Window> windows;
  size_t probes = 4;     // a window
  bool outputs = false;  // LayerSensitivity::outputs too
  uint64_t seed = 1;
  std::function<void()> step;  // after each block, TextSensitivitySteps times
  Threads threads;
};

// Windows go through the model a few at a time; their hidden states are kept in front of each
// block, and each block is run again when the gradient comes back to it. In the order of the
// blocks. Memory: hidden states of kWindowsAtOnce windows for each block, one block with its
// candidates, and the head twice.
std::vector<LayerSensitivity> MeasureTextSensitivity(const LanguageModel& model,
                                                     const TextSensitivityTask& task);
inline constexpr size_t kWindowsAtOnce = 4;
size_t TextSensitivitySteps(const LanguageModel& model, size_t windows);

}  // namespace mezzo
