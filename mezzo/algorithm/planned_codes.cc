#include "mezzo/algorithm/planned_codes.h"

#include "mezzo/algorithm/weights.h"

namespace mezzo {

Tensor PlannedCodes(const Node& node, const Tensor& weight, const NodePlan& plan,
                    const std::vector<float>& scales, bool limit_pairs) {
  if (plan.weight_codes.empty()) return WeightCodes(node, weight, scales, limit_pairs);
  Require(static_cast<int64_t>(plan.weight_codes.size()) == weight.numel(), "plan: node ",
          node.name, " has ", plan.weight_codes.size(), " weight codes, needs ", weight.numel());
  Tensor codes = Tensor::Of(plan.weight_codes, weight.shape());
  if (scales == plan.weight_scales) return codes;
  const Tensor nearest = WeightCodes(node, weight, scales, limit_pairs);
  const WeightRows rows(node, weight);
  for (int64_t o = 0; o < rows.channels; ++o) {
    if (scales[o] == plan.weight_scales[o]) continue;
    for (int64_t k = 0; k < rows.depth; ++k)
      codes.data<int8_t>()[rows.At(o, k)] = nearest.data<int8_t>()[rows.At(o, k)];
  }
  return codes;
}

}  // namespace mezzo
