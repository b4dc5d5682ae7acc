// One rule an operator family, each from the "Changes between versions" of the ONNX operator pages.
#include "mezzo/graph/upgrade.h"

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace mezzo {
namespace {

// A graph under rewriting: where rules put new initializers and nodes.
class Upgrade {
 public:
  Upgrade(Graph& graph, int64_t opset) : graph_(graph), opset_(opset) {
    for (const Node& node : graph.nodes) names_.insert(node.outputs.begin(), node.outputs.end());
    for (const auto& [name, tensor] : graph.initializers) names_.insert(name);
    for (const ValueInfo& in : graph.inputs) {
      names_.insert(in.name);
      if (in.has_shape) ranks_[in.name] = in.shape.size();
    }
  }

  void Run() {
    std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    for (Node& node : nodes) {
      for (auto& [name, attribute] : node.attributes)
        if (auto* sub = std::get_if<std::shared_ptr<const Graph>>(&attribute)) {
          auto copy = std::make_shared<Graph>(**sub);
          UpgradeOperators(*copy, opset_);
          *sub = copy;
        }
      if (node.domain.empty()) Rewrite(node);
      graph_.nodes.push_back(std::move(node));
    }
  }

 private:
  std::string NewName(const std::string& stem) {
    std::string name = stem;
    for (int i = 2; !names_.insert(name).second; ++i) name = Cat(stem, "_", i);
    return name;
  }

  std::string Constant(const Node& node, const std::string& what, Tensor value) {
    const std::string name = NewName(Cat(node.name, "_", what));
    graph_.initializers[name] = std::move(value);
    return name;
  }

  // attribute (ints) -> input `at`
  void IntsToInput(Node& node, const std::string& attribute, size_t at) {
    const auto it = node.attributes.find(attribute);
    if (it == node.attributes.end()) return;
    const auto* ints = std::get_if<std::vector<int64_t>>(&it->second);
    Require(ints, "node ", node.name, " (", node.op_type, "): attribute ", attribute,
            " is not a list of integers");
    if (node.inputs.size() <= at) node.inputs.resize(at + 1);
    node.inputs[at] = Constant(node, attribute, Tensor::Vector(*ints));
    node.attributes.erase(attribute);
  }

  void FloatToInput(Node& node, const std::string& attribute, size_t at,
                    std::optional<float> fallback) {
    if (!node.Has(attribute) && !fallback) return;
    const float value = node.Float(attribute, fallback.value_or(0));
    if (node.inputs.size() <= at) node.inputs.resize(at + 1);
    node.inputs[at] = Constant(node, attribute, Tensor::Scalar(value));
    node.attributes.erase(attribute);
  }

  void Rewrite(Node& node) {
    const std::string& op = node.op_type;
    if (op == "Clip" && opset_ < 11) {
      FloatToInput(node, "min", 1, {});
      FloatToInput(node, "max", 2, {});
    } else if (op == "Pad" && opset_ < 11) {
      IntsToInput(node, "pads", 1);
      FloatToInput(node, "value", 2, 0.0f);
    } else if (op == "Slice" && opset_ < 10) {
      IntsToInput(node, "starts", 1);
      IntsToInput(node, "ends", 2);
      IntsToInput(node, "axes", 3);
    } else if ((op == "Squeeze" || op == "Unsqueeze" || op == "ReduceSum") && opset_ < 13) {
      IntsToInput(node, "axes", 1);
    } else if (op.starts_with("Reduce") && op != "ReduceSum" && opset_ < 18) {
      IntsToInput(node, "axes", 1);
    } else if (op == "Split" && opset_ < 18) {
      if (opset_ < 13) IntsToInput(node, "split", 1);
      if (!node.HasInput(1))
        node.attributes["num_outputs"] = static_cast<int64_t>(node.outputs.size());
    } else if (op == "TopK" && opset_ < 10) {
      node.attributes["k"] = std::vector<int64_t>{node.Int("k", 1)};
      IntsToInput(node, "k", 1);
    } else if ((op == "Softmax" || op == "LogSoftmax" || op == "Hardmax") && opset_ < 13) {
      FlattenedSoftmax(node);
    } else if (op == "Upsample" || (op == "Resize" && opset_ < 11)) {
      OldResize(node);
    } else if (op == "BatchNormalization" && opset_ < 14) {
      node.outputs.resize(1);  // the others were scratch space, or training's
      node.attributes.erase("spatial");
    } else if (op == "Dropout" && opset_ < 12) {
      node.attributes.erase("ratio");
      node.attributes.erase("is_test");
    } else if (op == "Scatter") {
      node.op_type = "ScatterElements";
    } else if (op == "RoiAlign" && opset_ < 16) {
      node.attributes["coordinate_transformation_mode"] = std::string("output_half_pixel");
    } else if (op == "GridSample" && opset_ < 20) {
      const std::string mode = node.String("mode", "bilinear");
      node.attributes["mode"] = mode == "bilinear" ? "linear" : mode == "bicubic" ? "cubic" : mode;
    } else if (op == "Scan") {
      Require(opset_ >= 9, "node ", node.name, ": Scan of opset 8 is not supported");
    } else if (op == "GroupNormalization") {
      Require(opset_ >= 21, "node ", node.name,
              ": GroupNormalization before opset 21 is not supported");
    }
  }

  static void NeedInput(const Node& node) {
    Require(node.HasInput(0), "node ", node.name, " (", node.op_type, "): has no input");
  }

  // Before opset 13 these worked on the input flattened to (dims before axis, the rest).
  void FlattenedSoftmax(Node& node) {
    NeedInput(node);
    const int64_t axis = node.Int("axis", 1);
    const auto rank = ranks_.find(node.inputs[0]);
    node.attributes["axis"] = int64_t{-1};
    if (axis == -1 || (rank != ranks_.end() && axis == static_cast<int64_t>(rank->second) - 1))
      return;
    const std::string shape = NewName(node.name + "_shape"), flat = NewName(node.name + "_flat"),
                      soft = NewName(node.name + "_soft");
    const std::string x = node.inputs[0], y = node.outputs.at(0);
    graph_.nodes.push_back({"Shape", "", shape, {x}, {shape}, {}});
    graph_.nodes.push_back({"Flatten", "", flat, {x}, {flat}, {{"axis", axis}}});
    Node softmax = node;
    softmax.inputs = {flat};
    softmax.outputs = {soft};
    graph_.nodes.push_back(std::move(softmax));
    node = {"Reshape", "", node.name + "_unflatten", {soft, shape}, {y}, {}};
  }

  void OldResize(Node& node) {
    NeedInput(node);
    node.op_type = "Resize";
    if (node.Has("scales")) {
      node.inputs.resize(2);
      node.inputs[1] = Constant(node, "scales", Tensor::Vector(node.Floats("scales")));
      node.attributes.erase("scales");
    }
    node.inputs.insert(node.inputs.begin() + 1, "");
    node.attributes["coordinate_transformation_mode"] = std::string("asymmetric");
    node.attributes["nearest_mode"] = std::string("floor");
    if (node.String("mode", "nearest") == "bilinear")
      node.attributes["mode"] = std::string("linear");
  }

  Graph& graph_;
  const int64_t opset_;
  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, size_t> ranks_;
};

}  // namespace

void UpgradeOperators(Graph& graph, int64_t from_opset) { Upgrade(graph, from_opset).Run(); }

}  // namespace mezzo
