// Recovery paths beside the layers of a network: y = Q(W) x + B (A x), A and B in bfloat16, A a
// convolution of the layer's own window with `rank` channels, B one of a single pixel.
#pragma once

#include <string>

#include "mezzo/algorithm/narrow_weights.h"
#include "mezzo/algorithm/plan.h"
#include "mezzo/algorithm/recovery/low_rank_fit.h"

namespace mezzo {

// Convolutions in groups have none: each group would need its own.
bool TakesPath(const Node& node);

struct PathChoice {
  int64_t rank = 0;  // 0: no path
  int alternations = 1;
  PathFit fit = PathFit::kHessian;
};

struct RoundedWithPath {
  NarrowWeights q;
  LowRank path;  // of rows as WeightRows has them
};

// Codes as QuantizeWeights makes them and the path that leaves the least of their error in the
// layer's outputs, H the basis's or, without one, the unit matrix; then as often as `alternations`
// codes for what the path leaves and a path for those, while that gets better.
RoundedWithPath QuantizeWithPath(const Node& node, const Tensor& weight, const WeightFormat& format,
                                 int64_t group_size, bool limit_pairs, const RoundingBasis* basis,
                                 const PathChoice& choice, const Threads& threads);

// The path that takes up the most of `error`, laid out as the layer's weight is, in its outputs.
LowRank FitPath(const Node& node, const Tensor& error, const RoundingBasis& basis, int64_t rank,
                const Threads& threads);

// B A, laid out as the layer's weight is.
Tensor PathProduct(const Node& node, const Tensor& weight, const LowRank& path,
                   const Threads& threads);

// The nodes of the quantized layers' paths, in float; what was the layer's output is the sum now.
// Throws UsageError naming the node if a path does not fit its layer.
void AddPaths(Graph& graph, const Plan& plan);

// The node that adds a layer's path, and the ones that multiply by A and by B.
std::string PathSum(const std::string& layer);
std::string PathNode(const std::string& layer, const char* a_or_b);
// The float weights that these read.
std::string PathWeight(const std::string& layer, const char* a_or_b);

bool HasPaths(const Graph& graph);

// The weights of A and of B for a layer with weight `weight`, float32, and what they say.
struct PathWeights {
  Tensor a, b;
};
PathWeights ToWeights(const Node& layer, const Shape& weight, const LowRank& path);
LowRank FromWeights(const Node& layer, const PathWeights& weights);

}  // namespace mezzo
