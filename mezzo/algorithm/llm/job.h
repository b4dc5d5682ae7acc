// A language model quantized into a folder that Mezzo reads: import/llm/quantized.h.
//
// The folder is made as OUT.part and renamed when it is whole. In it every block is a file that is
// written when the block is done, with the hidden states that the next one reads, so that a job
// that was stopped goes on after its last whole block, to the same bytes.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mezzo/algorithm/llm/group_rounding.h"
#include "mezzo/algorithm/llm/llm_plan.h"
#include "mezzo/algorithm/recovery/low_rank_fit.h"
#include "mezzo/algorithm/recovery/train_text.h"
#include "mezzo/runtime/language.h"

namespace mezzo {

// Paths of high precision beside the linear layers (METHODS 5), in bfloat16.
struct LlmRecovery {
  int64_t rank = 0;      // 0: none
  LlmRanks ranks;        // of single layers, in place of that
  int alternations = 1;  // times that the codes are made again for what the path leaves
  PathFit fit = PathFit::kHessian;
  TextTraining training;  // if it has windows; its state and threads are the job's
};

struct LlmJob {
  GroupRounding rounding;
  LlmRecovery recovery;         // of layers in four bits
  LlmQuantization stored;       // its format is the rounding's
  bool float_head = false;      // embedding and head as they are, not in int8
  LlmPrecisions precisions;     // of linear layers
  std::vector<Window> windows;  // to calibrate on
  Threads threads;
  std::function<void(const LayerOutcome&)> layer_done;
  std::function<void(int64_t blocks)> resumed;  // told how many blocks were there already
};

// Bytes that QuantizeLanguageModel holds at most, about: a block in float and packed, Hessians and
// their factors, and the windows' values.
double EstimateMemory(const LanguageModel& model, const LlmJob& job);

// Throws UsageError if `out` exists or OUT.part is another job's, and what reading the model and
// writing files throw. Returns the outcomes of all layers, by block.
std::vector<LayerOutcome> QuantizeLanguageModel(const LanguageModel& model, const LlmJob& job,
                                                const std::filesystem::path& out);

}  // namespace mezzo
