// Recovery paths of a language model trained end to end: A and B by gradient descent on the KL
// divergence from the float model's predictions (METHODS 5). A block's weights are in memory at a
// time: windows go forward through all blocks, and the gradient comes back block by block, each run
// again for it.
#pragma once

#include <vector>

#include "mezzo/algorithm/recovery/descent.h"
#include "mezzo/runtime/language.h"

namespace mezzo {

struct TextTraining : PathTraining {
  std::vector<Window> windows, held_out;
};

// `quantized` holds the paths to begin with. Activations that are quantized pass the gradient on as
// it is (straight through). Memory: the paths six times, hidden states of all windows, of a batch
// in front of each block, one block. Throws UsageError if there are no windows, or no paths.
LowRanks TrainPaths(const LanguageModel& reference, const LanguageModel& quantized,
                    const TextTraining& training);

}  // namespace mezzo
