#include "mezzo/graph/passes.h"

#include <algorithm>
#include <unordered_set>

namespace mezzo {

void ReplaceUses(Graph& graph, const std::string& from, const std::string& to) {
  for (Node& node : graph.nodes) std::replace(node.inputs.begin(), node.inputs.end(), from, to);
  for (ValueInfo& out : graph.outputs)
    if (out.name == from) out.name = to;
}

namespace {

std::unordered_set<std::string> CapturedBySubgraphs(const Graph& graph) {
  std::unordered_set<std::string> names;
  for (const Node& node : graph.nodes)
    for (const auto& [name, attribute] : node.attributes)
      if (const auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute))
        for (std::string& captured : Captures(**sub)) names.insert(std::move(captured));
  return names;
}

bool IsCopy(const Node& node) {
  return node.Is("Identity") || (node.Is("Dropout") && !node.HasInput(2) &&
                                 (node.outputs.size() < 2 || node.outputs[1].empty()));
}

}  // namespace

void RemoveCopies(Graph& graph) {
  const auto captured = CapturedBySubgraphs(graph);
  std::unordered_set<std::string> outputs;
  for (const ValueInfo& out : graph.outputs) outputs.insert(out.name);
  // Users switch to the copied value. A copy that a subgraph captures or that is a graph output
  // stays: their names are not ours to change.
  for (Node& node : graph.nodes)
    if (IsCopy(node) && !captured.contains(node.outputs[0]))
      for (Node& user : graph.nodes)
        std::replace(user.inputs.begin(), user.inputs.end(), node.outputs[0], node.inputs[0]);
  std::erase_if(graph.nodes, [&](const Node& node) {
    return IsCopy(node) && !captured.contains(node.outputs[0]) &&
           !outputs.contains(node.outputs[0]);
  });
}

void RemoveNodes(Graph& graph, const std::set<size_t>& gone) {
  std::vector<Node> nodes;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (!gone.contains(i)) nodes.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(nodes);
}

void RemoveUnused(Graph& graph) {
  std::unordered_set<std::string> used = CapturedBySubgraphs(graph);
  for (const ValueInfo& out : graph.outputs) used.insert(out.name);
  std::set<size_t> gone;
  for (size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    if (std::any_of(node.outputs.begin(), node.outputs.end(),
                    [&](const std::string& out) { return used.contains(out); }))
      used.insert(node.inputs.begin(), node.inputs.end());
    else
      gone.insert(i);
  }
  RemoveNodes(graph, gone);
  std::erase_if(graph.initializers, [&](const auto& entry) { return !used.contains(entry.first); });
}

}  // namespace mezzo
