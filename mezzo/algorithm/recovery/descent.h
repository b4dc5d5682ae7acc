// Recovery paths by gradient descent, whatever the model: Adam through the samples in a random
// order, held-out samples that say which paths stay, and a file that a stopped job goes on from.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "mezzo/algorithm/recovery/adam.h"
#include "mezzo/base/threads.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

struct PathTraining {
  size_t epochs = 4;   // through the samples, at most: the best on held-out ones is what stays,
                       // and two epochs that are no better end it
  size_t batch = 2;    // samples to a step
  double rate = 0.01;  // of Adam, relative to the root mean square of each matrix
  uint64_t seed = 1;   // of the samples' order
  std::filesystem::path state;  // written after each epoch and gone on from if there, unless empty
  std::string job;              // what the state must be of
  Threads threads;
  std::function<void()> step;  // after each sample
  // After each epoch, the first time before any: the mean loss of held-out samples.
  std::function<void(size_t epoch, double loss)> epoch_done;
};

// A model as its paths see it.
class PathLoss {
 public:
  virtual ~PathLoss() = default;
  virtual size_t samples() const = 0;
  virtual double HeldOut(const LowRanks& paths) const = 0;
  // Adds the gradients of the samples' losses by each layer's A and B, named kPathA and kPathB.
  virtual void AddGradients(const LowRanks& paths, const std::vector<size_t>& samples,
                            Adam& matrices) const = 0;
};

// From `paths` on; those found are rounded to what files hold, as they were when they were judged.
// Memory: the paths six times. Throws UsageError if the state is of another job, FileError if it is
// none.
LowRanks Descend(const LowRanks& paths, const PathLoss& loss, const PathTraining& training);

}  // namespace mezzo
