// The shapes of MatMul: numpy's rules, 1-D operands included.
#pragma once

#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

struct MatMulShape {
  int64_t m = 0, n = 0, k = 0;
  Shape batch;                                // broadcast leading dimensions
  std::vector<int64_t> a_strides, b_strides;  // per batch dimension, in matrices; 0 where broadcast
  Shape out;
};

// Throws UsageError naming the node if the shapes do not fit.
MatMulShape ReadMatMulShape(const Node& node, Shape a, Shape b);

}  // namespace mezzo
