// The int8 codes that a plan gives a layer's weight.
#pragma once

#include <vector>

#include "mezzo/algorithm/plan.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// The plan's codes, and the nearest ones where it has none and in channels whose scale is not the
// plan's. Throws UsageError naming the node if the plan's codes or steps do not fit the weight.
Tensor PlannedCodes(const Node& node, const Tensor& weight, const NodePlan& plan,
                    const std::vector<float>& scales, bool limit_pairs);

}  // namespace mezzo
