// Operators that move values without changing them run on codes as well as on floats.
#include <cmath>

#include "mezzo/graph/passes.h"
#include "mezzo/runtime/lowering.h"

namespace mezzo {
namespace {

bool OnlyMoves(const Node& node) {
  static const std::set<std::string> kOps = {
      "Reshape", "Transpose", "Flatten", "Squeeze",  "Unsqueeze",    "Slice",
      "Split",   "Gather",    "Expand",  "Identity", "DepthToSpace", "SpaceToDepth",
      "Tile",    "MaxPool",   "Pad",     "Resize"};
  return node.domain.empty() && kOps.contains(node.op_type);
}

bool IsPlainMaxPool(const Node& node) {
  const size_t rank = node.Ints("kernel_shape").size();
  return node.outputs.size() == 1 && (rank == 1 || rank == 2);
}

// Nearest neighbours of the image itself; what lies outside would need a value.
bool IsNearest(const Node& node) {
  return node.String("mode", "nearest") == "nearest" &&
         node.String("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize";
}

bool Rearranges(const Node& node) {
  static const std::set<std::string> kOps = {"Reshape", "Transpose", "Flatten", "Squeeze",
                                             "Unsqueeze"};
  return node.domain.empty() && kOps.contains(node.op_type);
}

// The node that alone reads the numbers of a value: Shape does not. Null if there is none.
Node* OnlyReader(Graph& graph, const Uses& uses, const std::string& value) {
  const auto consumers = uses.consumers.find(value);
  if (consumers == uses.consumers.end() || uses.count(value) != consumers->second.size())
    return nullptr;
  Node* reader = nullptr;
  for (const size_t i : consumers->second) {
    if (graph.nodes[i].Is("Shape")) continue;
    if (reader) return nullptr;
    reader = &graph.nodes[i];
  }
  return reader;
}

void RenameForShapes(Graph& graph, const Uses& uses, const std::string& from,
                     const std::string& to) {
  for (const size_t i : uses.consumers.at(from))
    if (graph.nodes[i].Is("Shape")) graph.nodes[i].inputs[0] = to;
}

}  // namespace

void QuantizeBeforeMoves(Graph& graph) {
  const Uses uses(graph);
  std::map<const Node*, Node> before;  // a QuantizeLinear by the node that it now stands before
  std::set<const Node*> gone;
  for (Node& q : graph.nodes) {
    const Tensor* scale = q.Is("QuantizeLinear") ? graph.Initializer(q.inputs[1]) : nullptr;
    if (!scale || scale->numel() != 1) continue;
    std::vector<Node*> moves;  // from the last to the first
    std::string x = q.inputs[0];
    auto producer = uses.producer.find(x);
    const Node* reader = &q;
    while (producer != uses.producer.end() && Rearranges(graph.nodes[producer->second]) &&
           OnlyReader(graph, uses, x) == reader) {
      reader = moves.emplace_back(&graph.nodes[producer->second]);
      x = reader->inputs[0];
      producer = uses.producer.find(x);
    }
    if (moves.empty() || producer == uses.producer.end() || OnlyReader(graph, uses, x) != reader ||
        graph.nodes[producer->second].Is("DequantizeLinear"))
      continue;
    Node early = q;
    early.inputs[0] = x;
    early.outputs = {FreshName(graph, x + "/codes")};
    RenameForShapes(graph, uses, q.inputs[0], q.outputs[0]);
    RenameForShapes(graph, uses, x, early.outputs[0]);
    moves.front()->outputs[0] = q.outputs[0];
    moves.back()->inputs[0] = early.outputs[0];
    before[moves.back()] = std::move(early);
    gone.insert(&q);
  }
  std::vector<Node> nodes;
  for (Node& node : graph.nodes) {
    const auto inserted = before.find(&node);
    if (inserted != before.end()) nodes.push_back(std::move(inserted->second));
    if (!gone.contains(&node)) nodes.push_back(std::move(node));
  }
  graph.nodes = std::move(nodes);
  SortNodes(graph);  // what reads a shape may have come before
}

// Emits the node over codes and enters its outputs in codes_, if it and its input allow that.
bool Lowering::MoveCodes(const Node& node) {
  if (!OnlyMoves(node)) return false;
  if (node.Is("MaxPool") && !IsPlainMaxPool(node)) return false;
  if (node.Is("Resize") && !IsNearest(node)) return false;
  const std::optional<CodeValue> x = CodesOf(node.inputs[0]);
  if (!x) return false;
  Node moved = node;
  moved.name = Fresh(node.name + "/codes");
  moved.inputs[0] = x->value;
  if (node.Is("Pad") && node.String("mode", "constant") == "constant") {
    const Tensor* value = node.HasInput(2) ? FloatConstant(node.inputs[2]) : nullptr;
    if (node.HasInput(2) && !value) return false;
    const float real = value ? *value->data<float>() : 0.0f;
    const float code = std::nearbyint(real / x->scale) + static_cast<float>(x->zero_point);
    // the padding must be on the grid, or it would not be the same value
    if (!(code >= x->qmin() && code <= x->qmax()) ||
        x->scale * (code - static_cast<float>(x->zero_point)) != real)
      return Refuse(node, Cat("its padding ", real, " is no code of its input"));
    const std::string name = Fresh(node.name + "/padding");
    graph_.initializers[name] = Cast(Tensor::Scalar(static_cast<int32_t>(code)), x->dtype);
    moved.inputs.resize(std::max<size_t>(moved.inputs.size(), 3));
    moved.inputs[2] = name;
  }
  if (node.Is("MaxPool")) {
    moved.op_type = "QMaxPool";
    moved.domain = "mezzo";
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i].empty()) continue;
    moved.outputs[i] = Fresh(node.outputs[i] + "/codes");
    float_of_[moved.outputs[i]] = node.outputs[i];
    codes_[node.outputs[i]] = CodeValue{moved.outputs[i], x->dtype, x->scale, x->zero_point};
  }
  Emit(std::move(moved));
  return true;
}

}  // namespace mezzo
