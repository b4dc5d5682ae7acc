// Values that follow from the shapes of a graph's inputs: what exporters compute of Shape nodes.
#pragma once

#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

// For each node, whether its outputs are the same in all runs with inputs of the same shapes.
// Operators that are not known to make shapes of shapes alone are taken for ones that do not.
std::vector<char> FollowFromShapes(const Graph& graph);

}  // namespace mezzo
