// Constant folding: nodes that compute the same at every run are run once.
#pragma once

#include "mezzo/graph/graph.h"

namespace mezzo {

// Replaces every node whose inputs are all initializers by its outputs, unless it is random, its
// results pass 64 MB and eight times its inputs, or it fails (then it stays, to fail where it is
// used); QuantizeLinear and DequantizeLinear only with `codes`. Also removes copies and unused
// values, and takes the branch of an If whose condition is constant.
void FoldConstants(Graph& graph, bool codes = false);

}  // namespace mezzo
