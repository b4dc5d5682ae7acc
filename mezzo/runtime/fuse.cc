#include "mezzo/runtime/fuse.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <utility>

#include "mezzo/graph/passes.h"

namespace mezzo {
namespace {

bool Is(const Node& node, const char* op) { return node.domain == "mezzo" && node.op_type == op; }

// Whether operand `i` of `add` is the result of a QConv that may take in the other one.
bool MayTakeIn(const Graph& graph, const Uses& uses, const Node& add, size_t i) {
  const auto producer = uses.producer.find(add.inputs[i]);
  if (producer == uses.producer.end() || uses.count(add.inputs[i]) != 1) return false;
  const Node& conv = graph.nodes[producer->second];
  if (!Is(conv, "QConv") || conv.HasInput(3) || conv.String("y_type", "uint8") == "float32")
    return false;
  return true;
}

Node Fused(const Node& conv, const Node& add, size_t i) {
  Node made = conv;
  made.inputs.resize(3);
  made.inputs.push_back(add.inputs[1 - i]);
  made.outputs = add.outputs;
  for (const auto& [name, value] : add.attributes) {
    std::string key = name;
    if (i == 1 && key.starts_with("a_"))
      key[0] = 'b';
    else if (i == 1 && key.starts_with("b_"))
      key[0] = 'a';
    made.attributes["add_" + key] = value;
  }
  return made;
}

void MergeSources(LowerReport& report, const std::string& conv, const std::string& add) {
  std::vector<LowerReport::Source> sources = std::move(report.replaced[conv]);
  report.replaced.erase(conv);
  for (LowerReport::Source& s : report.replaced[add]) {
    const auto same = [&](const LowerReport::Source& o) { return o.node == s.node; };
    if (std::none_of(sources.begin(), sources.end(), same)) sources.push_back(std::move(s));
  }
  report.replaced[add] = std::move(sources);
}

// What `add` adds to its operand `i`, the floats of a QMatMul that nobody else reads: a constant
// with a finite value per column, or null.
const Tensor* OffsetsFor(const Graph& graph, const Uses& uses, const Node& add, size_t i) {
  const auto producer = uses.producer.find(add.inputs[i]);
  const Tensor* offsets = graph.Initializer(add.inputs[1 - i]);
  if (producer == uses.producer.end() || uses.count(add.inputs[i]) != 1 || !offsets) return nullptr;
  const Node& product = graph.nodes[producer->second];
  if (!Is(product, "QMatMul") || product.String("y_type", "uint8") != "float32" ||
      product.Has("offsets"))
    return nullptr;
  const Tensor* b = graph.Initializer(product.inputs[1]);
  const bool turned = product.Int("transpose_b", 0) != 0;
  if (!b || b->rank() != 2 || offsets->rank() != 1 || offsets->dtype() != DType::kFloat32 ||
      offsets->numel() != b->dim(turned ? 0 : 1))
    return nullptr;
  const std::span<const float> values = offsets->span<float>();
  const bool finite =
      std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
  return finite ? offsets : nullptr;
}

}  // namespace

void FuseAdditions(Graph& graph, LowerReport* report) {
  const Uses uses(graph);
  std::set<size_t> gone;
  for (Node& add : graph.nodes) {
    if (!Is(add, "QAdd")) continue;
    for (size_t i = 0; i < 2; ++i) {
      if (!MayTakeIn(graph, uses, add, i)) continue;
      const size_t at = uses.producer.at(add.inputs[i]);
      if (report) MergeSources(*report, add.inputs[i], add.outputs[0]);
      add = Fused(graph.nodes[at], add, i);
      gone.insert(at);
      break;
    }
  }
  RemoveNodes(graph, gone);
}

void FuseOffsets(Graph& graph, LowerReport* report) {
  const Uses uses(graph);
  std::set<size_t> gone;
  for (Node& add : graph.nodes) {
    if (!add.Is("Add")) continue;
    for (size_t i = 0; i < 2; ++i) {
      const Tensor* offsets = OffsetsFor(graph, uses, add, i);
      if (!offsets) continue;
      const size_t at = uses.producer.at(add.inputs[i]);
      if (report) {
        report->replaced[add.outputs[0]] = {{add.name, add.op_type}};
        MergeSources(*report, add.inputs[i], add.outputs[0]);
      }
      Node made = graph.nodes[at];
      const std::span<const float> values = offsets->span<float>();
      made.attributes["offsets"] = std::vector<float>(values.begin(), values.end());
      made.outputs = add.outputs;
      add = std::move(made);
      gone.insert(at);
      break;
    }
  }
  RemoveNodes(graph, gone);
}

void CastBeforeExpand(Graph& graph) {
  const Uses uses(graph);
  for (Node& cast : graph.nodes) {
    const auto producer =
        cast.Is("Cast") ? uses.producer.find(cast.inputs[0]) : uses.producer.end();
    if (producer == uses.producer.end() || uses.count(cast.inputs[0]) != 1) continue;
    Node& expand = graph.nodes[producer->second];
    if (!expand.Is("Expand")) continue;
    std::swap(cast.op_type, expand.op_type);
    std::swap(cast.name, expand.name);
    std::swap(cast.attributes, expand.attributes);
    cast.inputs.push_back(expand.inputs[1]);
    expand.inputs.pop_back();
  }
}

void Fuse(Graph& graph, LowerReport* report) {
  CastBeforeExpand(graph);
  FuseAdditions(graph, report);
  FuseOffsets(graph, report);
  FuseSoftmax(graph, report);
  FuseAttention(graph, report);
  FuseNormalization(graph, report);
  FuseFunctions(graph, report);
}

}  // namespace mezzo
