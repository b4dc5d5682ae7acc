// mezzo plan of an ONNX network.
#pragma once

#include <string>
#include <vector>

#include "mezzo/cli/options.h"
#include "mezzo/cli/planner.h"

namespace mezzo {

struct PlanNetworkOptions {
  DataOptions data;
  size_t samples = 0, evaluation_samples = 0;  // as of quantize
  size_t sensitivity_samples = 1000;           // of the calibration part, again and again if fewer
  std::string targets = "predictions";         // or labels
  std::string formats;                         // a list; empty for all
  std::vector<int64_t> ranks;                  // ascending, of recovery paths beside narrow formats
  size_t validate = 0;                         // samples to check rankings on; 0: not
  size_t threads = 0;
  bool no_tuning = false;  // of scales and biases after the choice
};

void PlanNetwork(const PlannerOptions& planner, const PlanNetworkOptions& network);

}  // namespace mezzo
