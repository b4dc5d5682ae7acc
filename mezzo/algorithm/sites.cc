#include "mezzo/algorithm/sites.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

namespace mezzo {
namespace {

bool IsFloatWeight(const Graph& graph, const Node& node, size_t input) {
  const Tensor* t = node.HasInput(input) ? graph.Initializer(node.inputs[input]) : nullptr;
  return t && t->dtype() == DType::kFloat32;
}

// Empty if the node can compute in integers, else why not.
std::string WhyNot(const Graph& graph, const Node& node) {
  if (node.Is("ConvTranspose")) return "transposed convolutions have no integer form yet";
  if (node.Is("Conv")) {
    if (!IsFloatWeight(graph, node, 1)) return "its weights are not float32 constants";
    if (graph.Initializer(node.inputs[1])->rank() > 4)
      return "3-D convolutions have no integer form yet";
    if (node.HasInput(2) && !IsFloatWeight(graph, node, 2))
      return "its bias is not a float32 constant";
  }
  if (node.Is("Gemm")) {
    if (!IsFloatWeight(graph, node, 1)) return "its second matrix is not a float32 constant";
    if (node.Float("alpha", 1) != 1 || node.Float("beta", 1) != 1 || node.Int("transA", 0))
      return "alpha, beta and transA have no integer form";
    if (node.HasInput(2) &&
        (!IsFloatWeight(graph, node, 2) || graph.Initializer(node.inputs[2])->rank() > 1))
      return "its bias is not a constant vector";
  }
  if (node.Is("MatMul")) {
    const Tensor* a = graph.Initializer(node.inputs.at(0));
    const Tensor* b = graph.Initializer(node.inputs.at(1));
    if (a) return "its first matrix is constant";
    if (b && (b->dtype() != DType::kFloat32 || b->rank() != 2))
      return "its weights are not a float32 matrix";
  }
  return "";
}

// Operators whose output holds values of input 0 and nothing else, but zeros perhaps.
bool MovesData(const Graph& graph, const Node& node) {
  static const std::unordered_set<std::string> kMoves{
      "MaxPool",   "GlobalMaxPool", "Reshape",   "Transpose", "Flatten",      "Squeeze",
      "Unsqueeze", "Slice",         "Split",     "Expand",    "DepthToSpace", "SpaceToDepth",
      "Gather",    "Identity",      "ReduceMax", "Tile"};
  if (!node.domain.empty()) return false;
  if (node.op_type == "MaxPool") return node.outputs.size() == 1;
  if (kMoves.contains(node.op_type)) return true;
  if (node.op_type == "Resize") return node.String("mode", "nearest") == "nearest";
  if (node.op_type != "Pad") return false;
  if (node.String("mode", "constant") != "constant" || !node.HasInput(2)) return true;
  const Tensor* value = graph.Initializer(node.inputs[2]);
  return value && value->dtype() == DType::kFloat32 && value->numel() == 1 &&
         *value->data<float>() == 0;
}

bool IsIntegerElementwise(const Graph& graph, const Node& node) {
  if (node.Is("GlobalAveragePool") || node.Is("AveragePool")) return true;
  if (node.Is("Concat")) return true;
  return (node.Is("Add") || node.Is("Mul")) && !graph.Initializer(node.inputs.at(0)) &&
         !graph.Initializer(node.inputs.at(1));
}

class SiteFinder {
 public:
  SiteFinder(const Graph& graph, const std::set<std::string>& quantized,
             const std::set<std::string>& in_float)
      : graph_(graph), uses_(graph), quantized_(quantized), in_float_(in_float) {}

  Sites Find() {
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (quantized_.contains(graph_.nodes[i].name)) {
        sites_.integer_nodes.insert(i);
        Require(CarriesFloat(graph_.nodes[i]), "node ", graph_.nodes[i].name,
                " cannot be quantized");
        for (const std::string& in : DataInputs(graph_.nodes[i])) Need(in);
      }
    // In graph order a node's inputs are settled before it. What a later node needs can make an
    // earlier one integer (a pool between two layers), so go on until nothing changes.
    for (size_t before = 0; before != Size();) {
      before = Size();
      for (size_t i = 0; i < graph_.nodes.size(); ++i) Visit(i);
    }
    return std::move(sites_);
  }

 private:
  size_t Size() const {
    return sites_.root.size() + sites_.integer_made.size() + sites_.integer_nodes.size();
  }

  bool CarriesFloat(const Node& node) const {
    return node.Is("Conv") || node.Is("Gemm") || node.Is("MatMul");
  }

  // Inputs that carry activations.
  std::vector<std::string> DataInputs(const Node& node) const {
    if (node.Is("Concat")) return node.inputs;
    if (node.Is("Add") || node.Is("Mul")) return node.inputs;
    if (node.Is("MatMul") && !graph_.Initializer(node.inputs[1])) return node.inputs;
    return {node.inputs.at(0)};
  }

  // The value whose grid `value` uses.
  std::string RootOf(std::string value) const {
    for (;;) {
      const auto made = uses_.producer.find(value);
      if (made == uses_.producer.end()) return value;
      const Node& node = graph_.nodes[made->second];
      if (!MovesData(graph_, node) || graph_.Initializer(node.inputs[0])) return value;
      value = node.inputs[0];
    }
  }

  void Need(const std::string& value) { sites_.root.emplace(value, RootOf(value)); }

  bool HasCodes(const std::string& value) const { return sites_.root.contains(value); }

  // The value that the node's result becomes visible as: behind a Relu or Clip that nobody else
  // feeds on.
  std::string Visible(const Node& node) const {
    const std::string& y = node.outputs[0];
    if (uses_.count(y) != 1 || uses_.is_output.contains(y)) return y;
    const auto user = uses_.consumers.find(y);
    if (user == uses_.consumers.end()) return y;
    const Node& next = graph_.nodes[user->second[0]];
    if (next.inputs[0] != y) return y;
    if (next.Is("Relu")) return next.outputs[0];
    if (!next.Is("Clip")) return y;
    for (size_t i = 1; i < next.inputs.size(); ++i)
      if (next.HasInput(i) && !graph_.Initializer(next.inputs[i])) return y;
    return next.outputs[0];
  }

  // True if nobody but the model's outputs gets the value, moved or scaled perhaps: coding it would
  // only cost accuracy, of logits above all.
  bool OnlyLeadsOut(const std::string& value) const {
    const auto users = uses_.consumers.find(value);
    if (users == uses_.consumers.end()) return true;
    return std::all_of(users->second.begin(), users->second.end(), [&](size_t i) {
      const Node& node = graph_.nodes[i];
      const bool scales = node.Is("Mul") && graph_.Initializer(node.inputs[1]);
      return (scales || MovesData(graph_, node)) && node.inputs[0] == value &&
             OnlyLeadsOut(node.outputs[0]);
    });
  }

  void MakeInteger(const std::string& value) {
    Need(value);
    sites_.integer_made.insert(value);
  }

  bool OnlyShapesAreNonFloat(const Node& node) const { return HasCodes(node.inputs.at(0)); }

  void Visit(size_t i) {
    const Node& node = graph_.nodes[i];
    if (sites_.integer_nodes.contains(i) && CarriesFloat(node)) {
      // A convolution's result is always coded; a matrix product's only where a coded value is
      // needed.
      if (in_float_.contains(node.name)) return;
      const std::string y = Visible(node);
      if (node.Is("Conv") || HasCodes(y)) MakeInteger(y);
      return;
    }
    if (MovesData(graph_, node) && sites_.integer_made.contains(node.inputs[0])) {
      sites_.integer_nodes.insert(i);
      for (const std::string& out : node.outputs)
        if (!out.empty()) MakeInteger(out);
      return;
    }
    if (IsIntegerElementwise(graph_, node)) {
      const auto in = DataInputs(node);
      if (!std::all_of(in.begin(), in.end(), [&](const std::string& v) { return HasCodes(v); }))
        return;
      if (OnlyLeadsOut(Visible(node))) return;
      sites_.integer_nodes.insert(i);
      MakeInteger(Visible(node));
    }
  }

  const Graph& graph_;
  const Uses uses_;
  const std::set<std::string>&quantized_, &in_float_;
  Sites sites_;
};

}  // namespace

std::vector<ComputeNode> FindComputeNodes(const Graph& graph,
                                          std::map<std::string, std::string>* why) {
  std::vector<ComputeNode> found;
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    if (!node.Is("Conv") && !node.Is("Gemm") && !node.Is("MatMul") && !node.Is("ConvTranspose"))
      continue;
    const std::string reason = WhyNot(graph, node);
    if (!reason.empty()) {
      if (why) (*why)[node.name] = reason;
      continue;
    }
    const bool has_weight = graph.Initializer(node.inputs[1]) != nullptr;
    const size_t axis = node.Is("Conv") || (node.Is("Gemm") && node.Int("transB", 0)) ? 0 : 1;
    found.push_back({i, has_weight, axis});
  }
  return found;
}

Sites FindSites(const Graph& graph, const std::set<std::string>& quantized,
                const std::set<std::string>& in_float) {
  return SiteFinder(graph, quantized, in_float).Find();
}

}  // namespace mezzo
