#include "mezzo/algorithm/planned_codes.h"

#include "mezzo/algorithm/narrow_weights.h"
#include "mezzo/algorithm/weights.h"

namespace mezzo {
namespace {

const WeightFormat& CheckedFormat(const Node& node, const WeightRows& rows, const NodePlan& plan) {
  const WeightFormat* format = FindWeightFormat(plan.weight_format);
  Require(format, "plan: node ", node.name, ": there is no weight format ", plan.weight_format);
  if (plan.group_size) {
    Require(rows.inputs % plan.group_size == 0, "plan: node ", node.name, ": groups of ",
            plan.group_size, " do not divide ", rows.inputs, " inputs");
    const int64_t steps = rows.channels * (rows.depth / plan.group_size);
    Require(static_cast<int64_t>(plan.weight_steps.size()) == steps, "plan: node ", node.name,
            " has ", plan.weight_steps.size(), " weight steps, needs ", steps);
  }
  return *format;
}

}  // namespace

Tensor PlannedCodes(const Node& node, const Tensor& weight, const NodePlan& plan,
                    const std::vector<float>& scales, bool limit_pairs) {
  const WeightRows rows(node, weight);
  const WeightFormat& format = CheckedFormat(node, rows, plan);
  const auto nearest_codes = [&] {
    return format.narrow()
               ? NearestCodes(node, weight, format, plan.group_size, plan.weight_steps, scales)
               : WeightCodes(node, weight, scales, limit_pairs);
  };
  if (plan.weight_codes.empty()) return nearest_codes();
  Require(static_cast<int64_t>(plan.weight_codes.size()) == weight.numel(), "plan: node ",
          node.name, " has ", plan.weight_codes.size(), " weight codes, needs ", weight.numel());
  Tensor codes = Tensor::Of(plan.weight_codes, weight.shape());
  if (scales == plan.weight_scales) return codes;
  const Tensor nearest = nearest_codes();
  for (int64_t o = 0; o < rows.channels; ++o) {
    if (scales[o] == plan.weight_scales[o]) continue;
    for (int64_t k = 0; k < rows.depth; ++k)
      codes.data<int8_t>()[rows.At(o, k)] = nearest.data<int8_t>()[rows.At(o, k)];
  }
  return codes;
}

}  // namespace mezzo
