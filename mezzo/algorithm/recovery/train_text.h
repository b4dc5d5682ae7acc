// Recovery paths of a language model trained end to end: A and B by gradient descent on the KL
// divergence from the float model's predictions (METHODS 5). A block's weights are in memory at a
// time: windows go forward through all blocks, and the gradient comes back block by block, each run
// again for it.
#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "mezzo/runtime/language.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

struct PathTraining {
  std::vector<Window> windows, held_out;
  size_t epochs = 4;   // through the windows, at most: the best on held-out windows is what stays,
                       // and two epochs that are no better end it
  size_t batch = 2;    // windows to a step
  double rate = 0.01;  // of Adam, relative to the root mean square of each matrix
  uint64_t seed = 1;   // of the windows' order
  std::filesystem::path state;  // written after each epoch and gone on from if there, unless empty
  Threads threads;
  std::function<void()> step;  // after each window
  // After each epoch, the first time before any: the mean KL divergence on held-out windows.
  std::function<void(size_t epoch, double loss)> epoch_done;
};

// `quantized` holds the paths to begin with; those found are rounded to what files hold.
// Activations that are quantized pass the gradient on as it is (straight through). Memory: the
// paths four times, hidden states of all windows, of a batch in front of each block, one block.
// Throws UsageError if there are no windows, or no paths.
LowRanks TrainPaths(const LanguageModel& reference, const LanguageModel& quantized,
                    const PathTraining& training);

}  // namespace mezzo
