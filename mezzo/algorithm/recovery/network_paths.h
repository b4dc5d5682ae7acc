// Recovery paths beside the layers of a network: y = Q(W) x + B (A x), A and B in bfloat16, A a
// convolution of the layer's own window with `rank` channels, B one of a single pixel.
#pragma once

#include <string>

#include "mezzo/algorithm/narrow_weights.h"
#include "mezzo/algorithm/plan.h"

namespace mezzo {

// Convolutions in groups have none: each group would need its own.
bool TakesPath(const Node& node);

struct RoundedWithPath {
  NarrowWeights q;
  LowRank path;  // of rows as WeightRows has them
};

// Codes as QuantizeWeights makes them and the path that leaves the least of their error in the
// layer's outputs, H the basis's or, without one, the unit matrix; then as often as `alternations`
// codes for what the path leaves and a path for those, while that gets better.
RoundedWithPath QuantizeWithPath(const Node& node, const Tensor& weight, const WeightFormat& format,
                                 int64_t group_size, bool limit_pairs, const RoundingBasis* basis,
                                 int64_t rank, int alternations, const Threads& threads);

// The nodes of the plan's paths, in float; what was the layer's output is the sum now. Throws
// UsageError naming the node if a path does not fit its layer.
void AddPaths(Graph& graph, const Plan& plan);

// The node that adds a layer's path.
std::string PathSum(const std::string& layer);

}  // namespace mezzo
