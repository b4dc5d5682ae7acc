#include "mezzo/graph/scale_channels.h"

#include <cmath>
#include <set>
#include <utility>

#include "mezzo/graph/passes.h"

namespace mezzo {

bool LayerChannels::Of(const Graph& graph, const Node& node, LayerChannels* out) {
  if (!node.Is("Conv") && !node.Is("Gemm") && !node.Is("MatMul")) return false;
  const Tensor* w = node.HasInput(1) ? graph.Initializer(node.inputs[1]) : nullptr;
  if (!w || w->dtype() != DType::kFloat32 || w->numel() == 0) return false;
  LayerChannels c;
  if (node.Is("Conv")) {
    c.convolution = true;
    c.groups = node.Int("group", 1);
    c.outputs = w->dim(0);
    c.inputs = w->dim(1) * c.groups;
    c.taps = w->numel() / (w->dim(0) * w->dim(1));
  } else {
    if (w->rank() != 2 || node.Int("transA", 0)) return false;
    c.out_first = node.Is("Gemm") && node.Int("transB", 0);
    c.outputs = w->dim(c.out_first ? 0 : 1);
    c.inputs = w->dim(c.out_first ? 1 : 0);
  }
  *out = c;
  return true;
}

bool KeepsChannelScales(const Graph& graph, const Node& node) {
  if (node.Is("Clip")) {
    const auto bound = [&](size_t i) {
      const Tensor* t = node.HasInput(i) ? graph.Initializer(node.inputs[i]) : nullptr;
      return t && t->dtype() == DType::kFloat32 && t->numel() == 1 ? *t->data<float>() : NAN;
    };
    return bound(1) == 0 && bound(2) > 0;
  }
  if (node.Is("Concat")) return node.Int("axis", 0) == 1;
  return node.Is("Relu") || node.Is("GlobalAveragePool") || node.Is("AveragePool") ||
         (node.Is("MaxPool") && node.outputs.size() == 1);
}

namespace {

class Scaler {
 public:
  Scaler(const Graph& graph, const ChannelScales& scales) : graph_(graph), scales_(scales) {
    for (const Node& node : graph_.nodes) names_.insert(node.outputs.begin(), node.outputs.end());
    for (const auto& [name, t] : graph_.initializers) names_.insert(name);
    for (const ValueInfo& in : graph_.inputs) names_.insert(in.name);
  }

  Graph Run() {
    for (const ValueInfo& in : graph_.inputs) MakeCopy(in.name);
    for (const Node& node : graph_.nodes) Visit(node);
    for (const auto& [name, s] : scales_)
      Require(units_.contains(name) || copies_.contains(name), "equalization: there is no value ",
              name);
    for (const ValueInfo& out : graph_.outputs)
      Require(!units_.contains(out.name), "equalization: ", out.name, " is an output of the model");
    graph_.nodes = std::move(made_);
    RemoveUnused(graph_);
    return std::move(graph_);
  }

 private:
  // A value in other units: its new name, and the rank of the tensors that hold it.
  struct Units {
    std::vector<float> scales;
    size_t rank;
    std::string name;
  };

  void Visit(Node node) {
    LayerChannels layer;
    if (LayerChannels::Of(graph_, node, &layer)) {
      VisitLayer(node, layer);
    } else if (!PassOn(node)) {
      RestoreInputs(node, 0);
    }
    made_.push_back(node);
    for (const std::string& out : node.outputs) MakeCopy(out);
  }

  // The node makes its output in these units, under a new name.
  void SetUnits(Node& node, Units units) {
    const std::string value = std::exchange(node.outputs[0], EqualizedName(node.outputs[0]));
    units.name = node.outputs[0];
    units_[value] = std::move(units);
  }

  void VisitLayer(Node& node, const LayerChannels& layer) {
    const std::vector<float>* in = ReadScaled(node);
    RestoreInputs(node, 1);
    const auto out = layer.convolution ? scales_.find(node.outputs[0]) : scales_.end();
    if (in) ScaleWeight(node, layer, *in, false);
    if (out == scales_.end()) return;
    SetUnits(node, {out->second, graph_.Initializer(node.inputs[1])->rank()});
    ScaleWeight(node, layer, out->second, true);
    if (node.HasInput(2)) ScaleBias(node, out->second);
  }

  // The scales of what the layer then reads; null if that is in its own units.
  const std::vector<float>* ReadScaled(Node& node) {
    if (const auto it = units_.find(node.inputs[0]); it != units_.end()) {
      node.inputs[0] = it->second.name;
      return &it->second.scales;
    }
    const auto copy = copies_.find(node.inputs[0]);
    if (copy == copies_.end()) return nullptr;
    const std::vector<float>& s = scales_.at(node.inputs[0]);
    const size_t rank = node.Is("Conv") ? graph_.Initializer(node.inputs[1])->rank() : 0;
    Tensor factors = Factors(s, rank, true);
    Tensor& known = graph_.initializers[copy->second.factors];
    Require(!known.defined() || known.shape() == factors.shape(), "equalization: ", node.inputs[0],
            " is read by convolutions and by matrix products");
    known = std::move(factors);
    node.inputs[0] = copy->second.value;
    return &s;
  }

  // True if the node's inputs are scaled, and with them its output.
  bool PassOn(Node& node) {
    if (!KeepsChannelScales(graph_, node)) return false;
    Units all{{}, 0};
    std::vector<std::string> inputs = node.inputs;
    for (size_t i = 0; i < (node.Is("Concat") ? inputs.size() : 1); ++i) {
      const auto it = units_.find(inputs[i]);
      if (it == units_.end()) return false;
      inputs[i] = it->second.name;
      all.rank = it->second.rank;
      all.scales.insert(all.scales.end(), it->second.scales.begin(), it->second.scales.end());
    }
    for (const float v : all.scales)
      Require(!node.Is("Clip") || v <= 1, "equalization: scale ", v, " before ", node.name,
              ", which needs at most 1");
    node.inputs = std::move(inputs);
    SetUnits(node, std::move(all));
    return true;
  }

  void RestoreInputs(Node& node, size_t first) {
    for (size_t i = first; i < node.inputs.size(); ++i)
      if (units_.contains(node.inputs[i])) node.inputs[i] = Restored(node.inputs[i]);
  }

  static void Check(const Node& node, const std::vector<float>& s, int64_t channels) {
    Require(static_cast<int64_t>(s.size()) == channels, "equalization: node ", node.name, " has ",
            channels, " channels, got ", s.size(), " scales");
    for (const float v : s)
      Require(std::isfinite(v) && v > 0, "equalization: node ", node.name, ": got scale ", v,
              ", needs positive ones");
  }

  // Times the scales of what the layer reads, or by those of what it makes.
  void ScaleWeight(Node& node, const LayerChannels& layer, const std::vector<float>& s, bool made) {
    Check(node, s, made ? layer.outputs : layer.inputs);
    Tensor w = graph_.Initializer(node.inputs[1])->Clone();
    float* values = w.data<float>();
    layer.Each([&](int64_t at, int64_t i, int64_t o) {
      values[at] = made ? values[at] / s[o] : values[at] * s[i];
    });
    node.inputs[1] = AddConstant(node.inputs[1] + "_equalized", std::move(w));
  }

  void ScaleBias(Node& node, const std::vector<float>& s) {
    const Tensor* bias = graph_.Initializer(node.inputs[2]);
    Require(
        bias && bias->dtype() == DType::kFloat32 && bias->numel() == static_cast<int64_t>(s.size()),
        "equalization: the bias of node ", node.name, " is not constant");
    Tensor b = bias->Clone();
    for (size_t o = 0; o < s.size(); ++o) b.data<float>()[o] /= s[o];
    node.inputs[2] = AddConstant(node.name + "_bias_equalized", std::move(b));
  }

  // A constant that broadcasts along axis 1 of tensors of `rank`, or along the last axis for 0.
  static Tensor Factors(const std::vector<float>& s, size_t rank, bool inverse) {
    Shape shape{static_cast<int64_t>(s.size())};
    if (rank > 1) shape.resize(rank - 1, 1);
    Tensor t(DType::kFloat32, shape);
    for (size_t i = 0; i < s.size(); ++i) t.data<float>()[i] = inverse ? 1 / s[i] : s[i];
    return t;
  }

  std::string EqualizedName(const std::string& value) { return NewName(value + kEqualizedSuffix); }

  std::string NewName(const std::string& stem) {
    std::string name = stem;
    for (int i = 2; !names_.insert(name).second; ++i) name = Cat(stem, "_", i);
    return name;
  }

  std::string AddConstant(const std::string& stem, Tensor t) {
    const std::string name = NewName(stem);
    graph_.initializers[name] = std::move(t);
    return name;
  }

  void AddMul(const std::string& from, const std::string& factors, const std::string& to) {
    made_.push_back({"Mul", "", to, {from, factors}, {to}, {}});
  }

  // The scaled copy of a value, for layers to read. The first of them says how channels lie.
  void MakeCopy(const std::string& value) {
    if (!scales_.contains(value)) return;
    const Copy copy{EqualizedName(value), NewName(value + "_factors")};
    AddMul(value, copy.factors, copy.value);
    copies_[value] = copy;
  }

  std::string Restored(const std::string& value) {
    std::string& name = restored_[value];
    if (!name.empty()) return name;
    const Units& units = units_.at(value);
    name = NewName(value + "_restored");
    AddMul(units.name, AddConstant(value + "_units", Factors(units.scales, units.rank, false)),
           name);
    return name;
  }

  struct Copy {
    std::string value, factors;
  };

  Graph graph_;
  const ChannelScales& scales_;
  std::vector<Node> made_;
  std::set<std::string> names_;
  std::map<std::string, Units> units_;
  std::map<std::string, Copy> copies_;
  std::map<std::string, std::string> restored_;
};

}  // namespace

Graph ScaleChannels(const Graph& graph, const ChannelScales& scales) {
  return Scaler(graph, scales).Run();
}

}  // namespace mezzo
