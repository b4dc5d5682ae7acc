#include "mezzo/algorithm/layer_worth.h"

#include <algorithm>

#include "mezzo/algorithm/sites.h"

namespace mezzo {

LayerWorth::LayerWorth(const Graph& graph, const std::map<std::string, int64_t>& macs) {
  for (const ComputeNode& c : FindComputeNodes(graph))
    sequence_.push_back(graph.nodes[c.index].name);
  double all = 0;
  for (const auto& [name, n] : macs) all += static_cast<double>(n);
  for (const auto& [name, n] : macs) share_[name] = all > 0 ? static_cast<double>(n) / all : 0;
}

double LayerWorth::MacShare(const std::string& name) const {
  const auto it = share_.find(name);
  return it == share_.end() ? 0 : it->second;
}

double LayerWorth::Worth(const std::string& name, double gain) const {
  return gain / (MacShare(name) + 0.005);  // a layer costs something even without multiply-adds
}

std::string LayerWorth::Best(const std::map<std::string, double>& gain, double budget) const {
  const auto key = [&](const std::pair<const std::string, double>& g) {
    return std::pair(g.second > 0 && MacShare(g.first) <= budget, Worth(g.first, g.second));
  };
  return std::max_element(gain.begin(), gain.end(),
                          [&](const auto& a, const auto& b) { return key(a) < key(b); })
      ->first;
}

std::set<std::string> LayerWorth::Shortlist(const std::map<std::string, double>& gain,
                                            const std::set<std::string>& quantized,
                                            const std::string& last) const {
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [name, g] : gain)
    if (quantized.contains(name)) order.push_back({-Worth(name, g), name});
  std::sort(order.begin(), order.end());
  std::set<std::string> names;
  for (size_t i = 0; i < std::min<size_t>(6, order.size()); ++i) names.insert(order[i].second);
  const auto at = std::find(sequence_.begin(), sequence_.end(), last) - sequence_.begin();
  for (const int64_t step : {-2, -1, 1, 2}) {
    const int64_t i = at + step;
    if (i >= 0 && i < static_cast<int64_t>(sequence_.size()) && quantized.contains(sequence_[i]))
      names.insert(sequence_[i]);
  }
  return names;
}

}  // namespace mezzo
