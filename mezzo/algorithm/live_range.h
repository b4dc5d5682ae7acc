// Which part of an activation's range its users can tell apart.
//
// What follows a convolution is often flat at one end: x * clip(x + 3, 0, 6) / 6 is 0 for all x <=
// -3. Codes there would be wasted, so a grid need not cover it.
#pragma once

#include <map>
#include <string>

#include "mezzo/calibrate/calibrators.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// For each value of `seen` (ranges by name) whose users are elementwise functions of it alone: the
// smallest range outside of which every function of it that others read is constant, found by
// running these functions over the range seen. Values with other users, or without a flat end, are
// left out.
std::map<std::string, Range> LiveRanges(const Graph& graph,
                                        const std::map<std::string, Range>& seen);

}  // namespace mezzo
