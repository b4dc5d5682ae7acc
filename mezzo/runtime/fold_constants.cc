#include "mezzo/runtime/fold_constants.h"

#include <algorithm>
#include <unordered_set>

#include "mezzo/graph/passes.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

bool IsFoldable(const Graph& graph, const Node& node, bool codes) {
  static const std::unordered_set<std::string> kNever{
      "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike",
      "Multinomial",  "Bernoulli",     "Dropout"};
  const bool coding = node.Is("QuantizeLinear") || node.Is("DequantizeLinear");
  if (kNever.contains(node.op_type) || (coding && !codes) ||
      !OpTable::Get().Find(node.domain, node.op_type))
    return false;
  for (const auto& [name, attribute] : node.attributes)
    if (std::holds_alternative<std::shared_ptr<const Graph>>(attribute)) return false;
  return std::all_of(node.inputs.begin(), node.inputs.end(),
                     [&](const std::string& in) { return in.empty() || graph.Initializer(in); });
}

// Results may pass the limit if they are at most so many times the inputs: packed weights are
// unpacked (uint4 to int32), while shapes do not become tensors.
constexpr size_t kLimit = size_t{64} << 20, kUnpacking = 8;

// Runs the node alone; false if it fails or makes too much.
bool FoldNode(Graph& graph, const Node& node) {
  Graph one;
  one.nodes = {node};
  size_t bytes = 0;
  for (const std::string& in : node.inputs)
    if (!in.empty()) bytes += (one.initializers[in] = graph.initializers.at(in)).bytes();
  const size_t limit = std::max(kLimit, kUnpacking * bytes);
  std::vector<std::string> names;
  for (const std::string& out : node.outputs)
    if (!out.empty()) {
      one.outputs.push_back({out});
      names.push_back(out);
    }
  try {
    std::vector<Tensor> values = Session(one, {}).Run({});
    for (const Tensor& v : values)
      if (!v.defined() || v.bytes() > limit) return false;
    for (size_t i = 0; i < names.size(); ++i) graph.initializers[names[i]] = std::move(values[i]);
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

// An If with a constant condition becomes the nodes of the branch it takes.
bool TakeBranch(Graph& graph, size_t at) {
  const Node node = graph.nodes[at];
  const Tensor* condition = node.Is("If") ? graph.Initializer(node.inputs.at(0)) : nullptr;
  if (!condition || condition->dtype() != DType::kBool || condition->numel() != 1) return false;
  const Graph* branch = node.Subgraph(*condition->data<bool>() ? "then_branch" : "else_branch");
  if (!branch) return false;

  // Names of the branch could clash with those around it: all get the node's name in front.
  std::unordered_set<std::string> local;
  for (const auto& [name, tensor] : branch->initializers) local.insert(name);
  for (const Node& n : branch->nodes) local.insert(n.outputs.begin(), n.outputs.end());
  for (const Node& n : branch->nodes)
    for (const auto& [name, attribute] : n.attributes)
      if (std::holds_alternative<std::shared_ptr<const Graph>>(attribute)) return false;
  const auto rename = [&](std::string& name) {
    if (!name.empty() && local.contains(name)) name = node.name + "/" + name;
  };
  std::vector<Node> nodes = branch->nodes;
  for (Node& n : nodes) {
    n.name = node.name + "/" + n.name;
    for (std::string& in : n.inputs) rename(in);
    for (std::string& out : n.outputs) rename(out);
  }
  for (const auto& [name, tensor] : branch->initializers)
    graph.initializers[node.name + "/" + name] = tensor;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    std::string from = branch->outputs.at(i).name;
    rename(from);
    nodes.push_back({"Identity", "", node.outputs[i] + "_copy", {from}, {node.outputs[i]}, {}});
  }
  graph.nodes.erase(graph.nodes.begin() + at);
  graph.nodes.insert(graph.nodes.begin() + at, nodes.begin(), nodes.end());
  return true;
}

// Large constants that nobody needs any more go at once, so that what unpacking makes on its way
// does not add up.
void DropLarge(Graph& graph, const std::vector<std::string>& names) {
  constexpr size_t kLarge = 1 << 16;
  for (const std::string& name : names) {
    const Tensor* t = graph.Initializer(name);
    if (!t || t->bytes() < kLarge) continue;
    const auto is = [&](const auto& value) { return value.name == name; };
    const auto uses = [&](const Node& node) {
      const auto captured = Captures(node);
      return std::find(node.inputs.begin(), node.inputs.end(), name) != node.inputs.end() ||
             std::find(captured.begin(), captured.end(), name) != captured.end();
    };
    if (std::none_of(graph.outputs.begin(), graph.outputs.end(), is) &&
        std::none_of(graph.nodes.begin(), graph.nodes.end(), uses))
      graph.initializers.erase(name);
  }
}

}  // namespace

void FoldConstants(Graph& graph, bool codes) {
  for (size_t i = 0; i < graph.nodes.size();) {
    if (TakeBranch(graph, i)) continue;
    if (IsFoldable(graph, graph.nodes[i], codes) && FoldNode(graph, graph.nodes[i])) {
      const std::vector<std::string> inputs = std::move(graph.nodes[i].inputs);
      graph.nodes.erase(graph.nodes.begin() + i);
      DropLarge(graph, inputs);
    } else {
      ++i;
    }
  }
  RemoveCopies(graph);
  RemoveUnused(graph);
}

}  // namespace mezzo
