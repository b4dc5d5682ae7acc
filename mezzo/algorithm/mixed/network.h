// The precisions that the layers of a network could have, ready to be measured and chosen from.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/int8_workflow.h"
#include "mezzo/algorithm/sensitivity/rankings.h"
#include "mezzo/format/weight_format.h"

namespace mezzo {

// One precision of one layer.
struct NetworkOption {
  std::string name;  // "float32", "int8", "nf4/32", "nf4/32+r8"
  NodePlan plan;
  int64_t bits = 32;        // of a weight's code
  double stored_bits = 32;  // of a weight, scales and all else included
  int64_t bytes = 0;        // of the file, beyond what the layer takes in int8; may be negative
  std::map<std::string, int64_t> shared;  // by name: once for all layers that need it
  int64_t path_macs = 0;                  // of a recovery path, in float with bfloat16 weights
  bool available = true;                  // false of a path that the layer cannot have: as without
};

struct NetworkLayer {
  std::string node, op, input;  // the value it reads
  int64_t macs = 0;             // of one run
  std::vector<NetworkOption> options;
  RankedLayer ranked;          // by option
  std::vector<Tensor> shifts;  // by option: what its fit adds to the output channels, or absent
};

// "nf4", "nf4/32": a weight format, and inputs that share a step.
struct WeightOption {
  const WeightFormat* format;
  int64_t group = 0;
};
// UsageError for a format that is none.
WeightOption ParseWeightOption(const std::string& name);

struct NetworkOptionsTask {
  std::vector<std::string> formats;  // "float32", or as ParseWeightOption takes them
  std::vector<int64_t> ranks;        // of paths that narrow formats may have, ascending: "nf4+r8"
  SampleFn sample;                   // for the moments of what layers read
  size_t count = 0;
  size_t moment_bytes = size_t{96} << 20;
  Threads threads;
  std::function<void(size_t done, size_t of)> progress;
};

// Each option's scales, and where the layer can take a shift its bias, are those that bring the
// output nearest to the float layer's on what that reads; the deltas are of what is left. Of each
// layer that `base` quantizes and that has a weight, in the order of the graph. The int8 option has
// the base plan's codes. Paths take up the most of what a format's codes leave; those of lower
// ranks are the first columns of the widest. Memory: a float32 copy of the weights for each option.
std::vector<NetworkLayer> MakeNetworkOptions(const Int8Result& base,
                                             const NetworkOptionsTask& task);

// The base plan with an option for each layer.
Plan WithOptions(const Plan& base, const std::vector<NetworkLayer>& layers,
                 const std::vector<size_t>& options);

}  // namespace mezzo
