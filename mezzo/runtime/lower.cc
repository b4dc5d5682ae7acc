#include "mezzo/runtime/lower.h"

#include "mezzo/graph/passes.h"
#include "mezzo/runtime/lowering.h"

namespace mezzo {

Lowering::Lowering(const Graph& graph, LowerReport& report) : graph_(graph), report_(report) {
  for (const Node& node : graph_.nodes) {
    names_.insert(node.name);
    names_.insert(node.inputs.begin(), node.inputs.end());
    names_.insert(node.outputs.begin(), node.outputs.end());
  }
  for (const ValueInfo& in : graph_.inputs) names_.insert(in.name);
  for (const auto& [name, tensor] : graph_.initializers) names_.insert(name);
}

Graph Lowering::Run() {
  LowerEnds();
  LowerFloatOutputs();
  ReportKept();
  return std::move(graph_);
}

std::string Lowering::Fresh(const std::string& stem) {
  std::string name = stem;
  for (int i = 2; !names_.insert(name).second; ++i) name = Cat(stem, "_", i);
  return name;
}

bool Lowering::Refuse(const Node& node, const std::string& reason) {
  reasons_.emplace(node.name, reason);
  return false;
}

Node Lowering::Make(const std::string& op, const Node& source, std::vector<std::string> inputs,
                    const std::string& output) {
  Node node;
  node.op_type = op;
  node.domain = "mezzo";
  node.name = source.name;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return node;
}

void Lowering::Emit(Node node) {
  report_.replaced[node.outputs.at(0)] = ReplacedBy(node);
  inserted_[at_].push_back(std::move(node));
}

// Walks back from what the node makes to what it reads.
std::vector<LowerReport::Source> Lowering::ReplacedBy(const Node& made) const {
  const auto in_graph = [&](const std::string& value) {
    const auto it = float_of_.find(value);
    return it == float_of_.end() ? value : it->second;
  };
  std::unordered_set<std::string> seen;
  for (const std::string& in : made.inputs) seen.insert(in_graph(in));
  std::vector<std::string> open;
  for (const std::string& out : made.outputs) open.push_back(in_graph(out));
  std::set<size_t> found;
  while (!open.empty()) {
    const std::string value = open.back();
    open.pop_back();
    const auto producer = uses_->producer.find(value);
    if (!seen.insert(value).second || producer == uses_->producer.end()) continue;
    found.insert(producer->second);
    const Node& node = graph_.nodes[producer->second];
    open.insert(open.end(), node.inputs.begin(), node.inputs.end());
  }
  std::vector<LowerReport::Source> sources;
  for (const size_t i : found) sources.push_back({graph_.nodes[i].name, graph_.nodes[i].op_type});
  return sources;
}

void Lowering::SetOutput(Node& made, const QuantizedEnd& end) {
  made.attributes["y_type"] = std::string(Name(end.y.dtype));
  made.attributes["y_zero_point"] = int64_t{end.y.zero_point};
  made.attributes["lo"] = int64_t{end.lo};
  made.attributes["hi"] = int64_t{end.hi};
}

// Every QuantizeLinear is asked what makes its codes; what can be made without it takes its place.
void Lowering::LowerEnds() {
  uses_.emplace(graph_);
  inserted_.assign(graph_.nodes.size(), {});
  removed_.assign(graph_.nodes.size(), 0);
  for (at_ = 0; at_ < graph_.nodes.size(); ++at_) {
    const std::optional<QuantizedEnd> end = EndOf(at_);
    if (end && LowerEnd(*end)) removed_[at_] = 1;
  }
  Commit();
}

bool Lowering::LowerEnd(const QuantizedEnd& end) {
  const Node* node = Producer(end.x);
  if (!node) return false;
  const bool alone = uses_->count(end.x) == 1;
  if (node->Is("Conv")) return alone ? LowerConv(*node, &end) : false;
  if (node->Is("Gemm")) return alone ? LowerGemm(*node, &end) : false;
  if (node->Is("MatMul")) return alone ? LowerMatMul(*node, &end, nullptr) : false;
  if (node->Is("Add")) {  // the bias of a MatMul
    for (size_t i = 0; i < 2; ++i) {
      const Node* product = Producer(node->inputs[i]);
      if (product && product->Is("MatMul") && uses_->count(node->inputs[i]) == 1 && alone &&
          LowerMatMul(*product, &end, node))
        return true;
    }
  }
  if (LowerTable(end)) return true;
  if (node->Is("Add") || node->Is("Sub") || node->Is("Mul")) return LowerBinary(*node, end);
  if (node->Is("Concat")) return LowerConcat(*node, end);
  if (node->Is("AveragePool") || node->Is("GlobalAveragePool") || node->Is("ReduceMean"))
    return LowerAverage(*node, end);
  return Refuse(*node, Cat("no integer form of ", node->op_type));
}

// Products whose result is used in float still multiply integers.
void Lowering::LowerFloatOutputs() {
  uses_.emplace(graph_);
  codes_.clear();
  inserted_.assign(graph_.nodes.size(), {});
  removed_.assign(graph_.nodes.size(), 0);
  for (at_ = 0; at_ < graph_.nodes.size(); ++at_) {
    const Node& node = graph_.nodes[at_];
    if (node.Is("Conv")) removed_[at_] = LowerConv(node, nullptr);
    if (node.Is("Gemm")) removed_[at_] = LowerGemm(node, nullptr);
    if (node.Is("MatMul")) removed_[at_] = LowerMatMul(node, nullptr, nullptr);
  }
  Commit();
}

void Lowering::Commit() {
  std::vector<Node> nodes;
  for (size_t i = 0; i < graph_.nodes.size(); ++i) {
    for (Node& node : inserted_[i]) nodes.push_back(std::move(node));
    if (!removed_[i]) nodes.push_back(std::move(graph_.nodes[i]));
  }
  graph_.nodes = std::move(nodes);
  RemoveUnused(graph_);
  SortNodes(graph_);
}

void Lowering::ReportKept() {
  static const std::set<std::string> kNoArithmetic = {"QuantizeLinear",
                                                      "DequantizeLinear",
                                                      "Shape",
                                                      "Size",
                                                      "Reshape",
                                                      "Transpose",
                                                      "Flatten",
                                                      "Squeeze",
                                                      "Unsqueeze",
                                                      "Slice",
                                                      "Split",
                                                      "Concat",
                                                      "Gather",
                                                      "Cast",
                                                      "Identity",
                                                      "Expand",
                                                      "Range",
                                                      "Constant",
                                                      "DepthToSpace",
                                                      "SpaceToDepth",
                                                      "Pad",
                                                      "Resize",
                                                      "Tile",
                                                      "ConstantOfShape",
                                                      "If",
                                                      "Loop",
                                                      "Where",
                                                      "Equal",
                                                      "Not"};
  for (const Node& node : graph_.nodes) {
    if (node.domain == "mezzo") {
      ++report_.made[node.op_type];
    } else if (!kNoArithmetic.contains(node.op_type)) {
      const auto reason = reasons_.find(node.name);
      report_.kept.push_back(
          {node.name, node.op_type,
           reason != reasons_.end() ? reason->second : "its output is not quantized"});
    }
  }
}

Graph LowerToIntegers(const Graph& qdq, LowerReport* report) {
  LowerReport unread;
  Graph graph = qdq;
  QuantizeBeforeMoves(graph);
  return Lowering(graph, report ? *report : unread).Run();
}

}  // namespace mezzo
