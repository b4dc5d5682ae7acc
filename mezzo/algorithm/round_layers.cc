#include "mezzo/algorithm/round_layers.h"

#include "mezzo/algorithm/sites.h"

namespace mezzo {

void SetWeights(NodePlan& node, const WeightFormat& format, int64_t group_size, NarrowWeights q) {
  node.weight_format = format.name;
  node.group_size = group_size;
  node.weight_scales = std::move(q.scales);
  node.weight_steps = std::move(q.steps);
  node.weight_codes = std::move(q.codes);
}

void RoundLayers(const Graph& graph, const WeightChoice& choice, const LayerMoments& moments,
                 const Threads& threads, Plan& plan) {
  const auto round = [&](const Node& node, const RoundingBasis* basis) {
    const Tensor& weight = *graph.Initializer(node.inputs[1]);
    const WeightFormat& format = *choice.format;
    const int64_t group = GroupSize(node, weight, format, choice.group_size);
    NodePlan& to = plan.nodes.at(node.name);
    if (choice.path.rank > 0 && TakesPath(node)) {
      RoundedWithPath r = QuantizeWithPath(node, weight, format, group, plan.limit_pairs, basis,
                                           choice.path, threads);
      SetWeights(to, format, group, std::move(r.q));
      to.path = std::move(r.path);
      return;
    }
    SetWeights(to, format, group,
               QuantizeWeights(node, weight, format, group, plan.limit_pairs, basis, threads));
  };
  std::vector<std::string> layers;
  for (const ComputeNode& c : FindComputeNodes(graph)) {
    const Node& node = graph.nodes[c.index];
    if (!c.has_weight || !plan.nodes.at(node.name).quantized) continue;
    if (moments.sample)
      layers.push_back(node.name);
    else
      round(node, nullptr);
  }
  if (!moments.sample) return;
  CollectMoments(graph, layers, moments.sample, moments.count, moments.memory, threads,
                 [&](const Node& node, const Moments& m) {
                   const RoundingBasis basis(m, threads);
                   round(node, &basis);
                 });
}

}  // namespace mezzo
