#include "mezzo/cli/ranking_check.h"

#include "mezzo/tensor/arithmetic.h"

namespace mezzo {

Scores LossesAlone(const Graph& graph, const std::vector<NetworkLayer>& layers,
                   const std::function<double(const Graph&)>& loss,
                   const std::function<void()>& step) {
  Scores losses(layers.size());
  for (size_t l = 0; l < layers.size(); ++l) {
    for (size_t i = 0; i < layers[l].options.size(); ++i) {
      Graph changed = graph;
      for (const Node& node : graph.nodes) {
        if (node.name != layers[l].node) continue;
        Tensor& w = changed.initializers.at(node.inputs[1]);
        w = Sum(w, layers[l].ranked.deltas[i]);
        const Tensor& shift = layers[l].shifts[i];
        if (!shift.defined() || !node.HasInput(2)) continue;
        Tensor& bias = changed.initializers.at(node.inputs[2]);
        bias = Sum(bias, shift);
      }
      losses[l].push_back(loss(changed));
    }
    step();
  }
  return losses;
}

PlanRanking AgreementOf(const std::string& name, const Scores& scores, const Scores& alone,
                        const std::vector<NetworkOption>& options) {
  PlanRanking ranking{name, 0, {}};
  std::vector<double> all, all_alone;
  for (size_t i = 0; i < options.size(); ++i) {
    if (options[i].name == "float32") continue;
    std::vector<double> a, b;
    for (size_t l = 0; l < scores.size(); ++l) {
      a.push_back(scores[l][i]);
      b.push_back(alone[l][i]);
    }
    ranking.by_option.push_back(RankCorrelation(a, b));
    if (options[i].bits > 4) continue;
    all.insert(all.end(), a.begin(), a.end());
    all_alone.insert(all_alone.end(), b.begin(), b.end());
  }
  ranking.correlation = RankCorrelation(all, all_alone);
  return ranking;
}

}  // namespace mezzo
