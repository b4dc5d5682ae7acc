#include "mezzo/graph/graph.h"

#include <queue>
#include <set>
#include <unordered_set>

namespace mezzo {
namespace {

template <class T>
const T* Find(const Node& node, const std::string& name) {
  const auto it = node.attributes.find(name);
  if (it == node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&it->second);
  Require(value, "node ", node.name, " (", node.op_type, "): attribute ", name,
          " has an unexpected type");
  return value;
}

template <class T>
T Get(const Node& node, const std::string& name, T fallback) {
  const T* value = Find<T>(node, name);
  return value ? *value : std::move(fallback);
}

// Calls use(name) for everything the node reads: its inputs and what its subgraphs capture.
template <class F>
void ForEachUse(const Node& node, F&& use) {
  for (const std::string& in : node.inputs)
    if (!in.empty()) use(in);
  for (const std::string& captured : Captures(node)) use(captured);
}

}  // namespace

int64_t Node::Int(const std::string& n, int64_t f) const { return Get<int64_t>(*this, n, f); }
float Node::Float(const std::string& n, float f) const { return Get<float>(*this, n, f); }
std::string Node::String(const std::string& n, const std::string& f) const {
  return Get<std::string>(*this, n, f);
}
std::vector<int64_t> Node::Ints(const std::string& n, std::vector<int64_t> f) const {
  return Get(*this, n, std::move(f));
}
std::vector<float> Node::Floats(const std::string& n, std::vector<float> f) const {
  return Get(*this, n, std::move(f));
}
const Tensor* Node::TensorAttribute(const std::string& n) const { return Find<Tensor>(*this, n); }
const Graph* Node::Subgraph(const std::string& n) const {
  const auto* graph = Find<std::shared_ptr<const Graph>>(*this, n);
  return graph ? graph->get() : nullptr;
}

Uses::Uses(const Graph& graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    for (const std::string& out : graph.nodes[i].outputs)
      if (!out.empty()) producer[out] = i;
    ForEachUse(graph.nodes[i], [&](const std::string& name) { consumers[name].push_back(i); });
  }
  for (const ValueInfo& out : graph.outputs) is_output[out.name] = true;
}

size_t Uses::count(const std::string& value) const {
  const auto it = consumers.find(value);
  return (it == consumers.end() ? 0 : it->second.size()) + is_output.contains(value);
}

std::vector<std::string> Captures(const Graph& graph) {
  std::unordered_set<std::string> defined;
  for (const ValueInfo& in : graph.inputs) defined.insert(in.name);
  for (const auto& [name, tensor] : graph.initializers) defined.insert(name);
  for (const Node& node : graph.nodes) defined.insert(node.outputs.begin(), node.outputs.end());
  std::set<std::string> captured;
  const auto use = [&](const std::string& name) {
    if (!defined.contains(name)) captured.insert(name);
  };
  for (const Node& node : graph.nodes) ForEachUse(node, use);
  for (const ValueInfo& out : graph.outputs) use(out.name);
  return {captured.begin(), captured.end()};
}

std::vector<std::string> Captures(const Node& node) {
  std::vector<std::string> all;
  for (const auto& [name, attribute] : node.attributes)
    if (const auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute))
      for (std::string& captured : Captures(**sub)) all.push_back(std::move(captured));
  return all;
}

void SortNodes(Graph& graph, const std::vector<std::string>& captured) {
  std::unordered_set<std::string> known(captured.begin(), captured.end());
  for (const ValueInfo& in : graph.inputs) known.insert(in.name);
  for (const auto& [name, tensor] : graph.initializers) known.insert(name);

  const Uses uses(graph);
  std::vector<size_t> waiting(graph.nodes.size(), 0);
  std::vector<std::vector<size_t>> next(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    ForEachUse(graph.nodes[i], [&](const std::string& name) {
      const auto made = uses.producer.find(name);
      if (made != uses.producer.end()) {
        next[made->second].push_back(i);
        ++waiting[i];
      } else {
        Require(known.contains(name), "node ", graph.nodes[i].name, " (", graph.nodes[i].op_type,
                ") uses value ", name, ", which nothing makes");
      }
    });
  }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < waiting.size(); ++i)
    if (waiting[i] == 0) ready.push(i);
  std::vector<Node> sorted;
  sorted.reserve(graph.nodes.size());
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    sorted.push_back(std::move(graph.nodes[i]));
    for (const size_t j : next[i])
      if (--waiting[j] == 0) ready.push(j);
  }
  for (size_t i = 0; i < waiting.size(); ++i)
    Require(waiting[i] == 0, "node ", graph.nodes[i].name, " (", graph.nodes[i].op_type,
            ") is part of a cycle");
  graph.nodes = std::move(sorted);
}

std::string FreshName(const Graph& graph, const std::string& stem) {
  std::unordered_set<std::string> used;
  for (const Node& node : graph.nodes) {
    used.insert(node.name);
    used.insert(node.outputs.begin(), node.outputs.end());
    ForEachUse(node, [&](const std::string& name) { used.insert(name); });
  }
  for (const ValueInfo& in : graph.inputs) used.insert(in.name);
  for (const ValueInfo& out : graph.outputs) used.insert(out.name);
  for (const auto& [name, tensor] : graph.initializers) used.insert(name);
  std::string name = stem;
  for (int i = 2; used.contains(name); ++i) name = Cat(stem, "_", i);
  return name;
}

}  // namespace mezzo
