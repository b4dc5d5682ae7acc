// Which layer should go back to float next: what it gives back, for the multiply-adds it costs.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

class LayerWorth {
 public:
  // `macs` by node.
  LayerWorth(const Graph& graph, const std::map<std::string, int64_t>& macs);

  // Of all multiply-adds.
  double MacShare(const std::string& name) const;

  // The layer that gives back most for its multiply-adds; `gain` by name, not empty. Layers with
  // more than `budget` of all multiply-adds come last, after those that give something back.
  std::string Best(const std::map<std::string, double>& gain, double budget) const;

  // Those of `quantized` whose gain may have changed enough to matter after `last` went to float:
  // the best few, and its neighbours.
  std::set<std::string> Shortlist(const std::map<std::string, double>& gain,
                                  const std::set<std::string>& quantized,
                                  const std::string& last) const;

 private:
  double Worth(const std::string& name, double gain) const;

  std::vector<std::string> sequence_;  // of layers, in the graph's order
  std::map<std::string, double> share_;
};

}  // namespace mezzo
