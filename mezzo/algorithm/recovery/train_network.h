// Recovery paths of a network trained end to end: A and B by gradient descent on what its outputs
// lose against the float model's (METHODS 5), sensitivity's OutputLoss.
#pragma once

#include <memory>

#include "mezzo/algorithm/distortion.h"
#include "mezzo/algorithm/plan.h"
#include "mezzo/algorithm/recovery/descent.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

struct NetworkTraining : PathTraining {
  NetworkTraining() { batch = 8; }
  // Samples 0, 1, ... train; those from `first_held_out` on judge.
  size_t samples = 0, first_held_out = 0, held_out = 0;
};

// The network as `plan` quantizes it, but in float: weights dequantized, activations rounded to
// their codes, which pass the gradient on as it is (straight through) except where they saturate.
// The float model runs beside it for each sample. Keeps references. Memory: for each sample of a
// step the gradients of the paths; for each thread all values of a run and their gradients. Throws
// UsageError naming a node behind a path whose operator has no gradient.
std::unique_ptr<PathLoss> LossOfNetwork(const Model& prepared, const Plan& plan,
                                        DistortionKind kind, const SampleFn& sample,
                                        const NetworkTraining& training);

// The paths of the plan's layers, which begin as they are in it. Throws UsageError if there are no
// samples or no paths, and what LossOfNetwork and Descend throw; a state is of another job if plan,
// samples or settings differ.
LowRanks TrainPaths(const Model& prepared, const Plan& plan, DistortionKind kind,
                    const SampleFn& sample, const NetworkTraining& training);

}  // namespace mezzo
