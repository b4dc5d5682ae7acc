#include "mezzo/algorithm/apply_plan.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "mezzo/algorithm/planned_codes.h"
#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/algorithm/tables.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/graph/passes.h"
#include "mezzo/runtime/fold_constants.h"

namespace mezzo {
namespace {

Tensor ZeroPoint(IntFormat f, int32_t zero_point) {
  return f.is_signed ? Tensor::Scalar(static_cast<int8_t>(zero_point))
                     : Tensor::Scalar(static_cast<uint8_t>(zero_point));
}

class Applier {
 public:
  Applier(const Model& prepared, const Plan& plan, std::vector<std::string>* notes)
      : model_(prepared), graph_(model_.graph), plan_(plan), notes_(notes) {
    AddPaths(graph_, plan_);
    for (const Node& node : graph_.nodes) names_.insert(node.outputs.begin(), node.outputs.end());
    for (const auto& [name, t] : graph_.initializers) names_.insert(name);
    for (const ValueInfo& in : graph_.inputs) names_.insert(in.name);
  }

  Model Run() {
    const std::set<std::string> quantized = plan_.QuantizedNodes();
    std::set<std::string> with_path;
    for (const std::string& name : quantized)
      if (plan_.HasPath(name)) with_path.insert(name);
    sites_ = FindSites(graph_, quantized, with_path);
    std::set<std::string> found;
    for (const size_t i : sites_.integer_nodes) found.insert(graph_.nodes[i].name);
    for (const std::string& name : quantized)
      Require(found.contains(name), "plan: the model has no node ", name, " that can be quantized");

    for (const ComputeNode& c : FindComputeNodes(graph_))
      if (quantized.contains(graph_.nodes[c.index].name) && c.has_weight) QuantizeWeights(c);
    DropImpliedClips();
    RewireReaders();
    InsertPairs();
    graph_.nodes.insert(graph_.nodes.end(), added_.begin(), added_.end());
    for (const auto& [table, format] : plan_.tables) {
      const WeightFormat* f = FindWeightFormat(format);
      Require(f, "plan: table ", table, ": there is no weight format ", format);
      StoreTable(graph_, table, *f);
      if (notes_) notes_->push_back(Cat("table ", table, ": ", format, ", a scale for each row"));
    }
    if (notes_ && !plan_.equalization.empty())
      notes_->push_back(Cat("channels are equalized in ", plan_.equalization.size(), " values"));
    SortNodes(graph_);
    RemoveUnused(graph_);
    model_.opset = std::max<int64_t>(model_.opset, 21);
    return std::move(model_);
  }

 private:
  std::string NewName(const std::string& stem) {
    std::string name = stem;
    for (int i = 2; !names_.insert(name).second; ++i) name = Cat(stem, "_", i);
    return name;
  }

  const ActivationPlan& Grid(const std::string& value) const {
    const std::string& root = sites_.root.at(value);
    const auto it = plan_.activations.find(root);
    Require(it != plan_.activations.end(), "plan: activation ", root, " has no grid");
    return it->second;
  }

  std::string AddConstant(const std::string& stem, Tensor t) {
    const std::string name = NewName(stem);
    graph_.initializers[name] = std::move(t);
    return name;
  }

  // Weight and bias become initializers behind DequantizeLinear.
  void QuantizeWeights(const ComputeNode& c) {
    Node& node = graph_.nodes[c.index];
    const NodePlan& plan = plan_.nodes.at(node.name);
    const Tensor weight = *graph_.Initializer(node.inputs[1]);
    const int64_t channels = weight.dim(c.weight_axis);
    std::vector<float> scales = plan.weight_scales;
    Require(static_cast<int64_t>(scales.size()) == channels, "plan: node ", node.name, " has ",
            scales.size(), " weight scales, needs ", channels);
    const float x_scale = Grid(node.inputs[0]).qparams.scale;

    const bool takes_bias = !node.Is("MatMul");
    std::vector<float> bias(channels, 0.0f);
    if (takes_bias && node.HasInput(2)) {
      const Tensor& b = *graph_.Initializer(node.inputs[2]);
      for (int64_t i = 0; i < channels; ++i) bias[i] = b.data<float>()[b.numel() == 1 ? 0 : i];
    }
    if (takes_bias && !plan.bias_shift.empty()) {
      Require(plan.bias_shift.size() == bias.size(), "plan: node ", node.name, " has ",
              plan.bias_shift.size(), " bias shifts, needs ", channels);
      for (int64_t i = 0; i < channels; ++i) bias[i] += plan.bias_shift[i];
    }
    if (takes_bias) FitBias(node.name, bias, x_scale, scales);

    Tensor codes = PlannedCodes(node, weight, plan, scales, plan_.limit_pairs);
    const std::string stem = node.inputs[1];
    node.inputs[1] = AddDequantize(stem, std::move(codes), scales, c.weight_axis);
    const bool has_bias = takes_bias && (node.HasInput(2) || !plan.bias_shift.empty());
    if (!has_bias) return;
    Tensor bias_codes(DType::kInt32, {channels});
    std::vector<float> bias_scales(channels);
    for (int64_t i = 0; i < channels; ++i) {
      bias_scales[i] = x_scale * scales[i];
      bias_codes.data<int32_t>()[i] =
          static_cast<int32_t>(std::nearbyint(static_cast<double>(bias[i]) / bias_scales[i]));
    }
    node.inputs.resize(3);
    node.inputs[2] = AddDequantize(node.name + "_bias", std::move(bias_codes), bias_scales, 0);
  }

  // Raises weight scales until every bias fits half of int32's range, which leaves the other half
  // to the products.
  void FitBias(const std::string& name, const std::vector<float>& bias, float x_scale,
               std::vector<float>& scales) {
    int raised = 0;
    for (size_t i = 0; i < bias.size(); ++i) {
      const float least = std::fabs(bias[i]) / (static_cast<float>(1 << 30) * x_scale);
      if (scales[i] >= least) continue;
      scales[i] = least;
      ++raised;
    }
    if (raised && notes_)
      notes_->push_back(Cat("node ", name, ": the int32 bias of ", raised, " of ", bias.size(),
                            " channels would overflow; their weight scales were raised to fit it"));
  }

  std::string AddDequantize(const std::string& stem, Tensor codes, const std::vector<float>& scales,
                            size_t axis) {
    const DType type = codes.dtype();
    const std::string q = AddConstant(stem + "_quantized", std::move(codes));
    const std::string scale = AddConstant(stem + "_scale", Tensor::Vector(scales));
    const std::string zero = Zeros(type, static_cast<int64_t>(scales.size()));
    const std::string out = NewName(stem + "_dequantized");
    added_.push_back({"DequantizeLinear",
                      "",
                      out,
                      {q, scale, zero},
                      {out},
                      {{"axis", static_cast<int64_t>(axis)}}});
    return out;
  }

  // Zero points, one tensor for all layers with so many channels.
  const std::string& Zeros(DType type, int64_t count) {
    std::string& name = zeros_[{type, count}];
    if (name.empty())
      name = AddConstant(Cat("zeros_", Name(type), "_", count), Tensor::Zeros(type, {count}));
    return name;
  }

  // Relu and Clip between an integer node and its QuantizeLinear, where the grid's ends say the
  // same.
  void DropImpliedClips() {
    const Uses uses(graph_);
    std::vector<size_t> drop;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      Node& node = graph_.nodes[i];
      if (!node.Is("Relu") && !node.Is("Clip")) continue;
      const std::string y = node.outputs[0];
      const auto made = uses.producer.find(node.inputs[0]);
      if (!sites_.integer_made.contains(y) || sites_.root.contains(node.inputs[0])) continue;
      if (made == uses.producer.end() || !sites_.integer_nodes.contains(made->second)) continue;
      if (!Implied(node, Grid(y).qparams)) continue;
      graph_.nodes[made->second].outputs[0] = y;
      drop.push_back(i);
    }
    EraseNodes(drop);
  }

  bool Implied(const Node& node, QParams p) const {
    const IntFormat f = plan_.activation_format;
    const auto limit = [&](size_t i, float fallback) {
      const Tensor* t = node.HasInput(i) ? graph_.Initializer(node.inputs[i]) : nullptr;
      return t ? *t->data<float>() : fallback;
    };
    const float lo = node.Is("Relu") ? 0 : limit(1, -INFINITY);
    const float hi = node.Is("Relu") ? INFINITY : limit(2, INFINITY);
    return (lo == -INFINITY || Quantize(f, p, lo) == f.qmin()) &&
           (hi == INFINITY || Quantize(f, p, hi) == f.qmax());
  }

  // Keeps sites_.integer_nodes, which are indexes, in step.
  void EraseNodes(const std::vector<size_t>& drop) {
    std::set<size_t> integer;
    for (const size_t i : sites_.integer_nodes)
      integer.insert(i - (std::lower_bound(drop.begin(), drop.end(), i) - drop.begin()));
    sites_.integer_nodes = std::move(integer);
    for (size_t k = drop.size(); k-- > 0;) graph_.nodes.erase(graph_.nodes.begin() + drop[k]);
  }

  // Who reads codes: integer nodes, and everyone for values that integer nodes made.
  void RewireReaders() {
    for (const auto& [value, root] : sites_.root)
      dequantized_[value] = NewName(value + "_dequantized");
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      for (std::string& in : graph_.nodes[i].inputs) {
        const auto it = dequantized_.find(in);
        if (it == dequantized_.end()) continue;
        if (sites_.integer_nodes.contains(i) || sites_.integer_made.contains(in)) in = it->second;
      }
  }

  void InsertPairs() {
    const std::set<std::string> named = NamedElsewhere();
    std::unordered_map<std::string, size_t> maker;
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      for (const std::string& out : graph_.nodes[i].outputs) maker[out] = i;
    for (const auto& [value, root] : sites_.root) {
      const ActivationPlan& grid = Grid(value);
      const std::string scale = ScaleOf(root, grid), zero = root_zero_.at(root);
      std::string from = value, to = dequantized_.at(value);
      if (named.contains(value) && sites_.integer_made.contains(value)) {
        // The dequantized form gets the name; the node's own result another one.
        from = NewName(value + "_float");
        Node& node = graph_.nodes[maker.at(value)];
        std::replace(node.outputs.begin(), node.outputs.end(), value, from);
        for (Node& reader : graph_.nodes)
          std::replace(reader.inputs.begin(), reader.inputs.end(), to, value);
        to = value;
      }
      const std::string q = NewName(value + "_quantized");
      added_.push_back({"QuantizeLinear", "", q, {from, scale, zero}, {q}, {}});
      added_.push_back(
          {"DequantizeLinear", "", Cat(value, "_dequantize"), {q, scale, zero}, {to}, {}});
    }
  }

  // The graph's outputs, and what branches and loop bodies capture.
  std::set<std::string> NamedElsewhere() const {
    std::set<std::string> names;
    for (const ValueInfo& out : graph_.outputs) names.insert(out.name);
    for (const Node& node : graph_.nodes)
      for (const std::string& captured : Captures(node)) names.insert(captured);
    return names;
  }

  // Values that share a grid share its constants.
  const std::string& ScaleOf(const std::string& root, const ActivationPlan& grid) {
    const auto it = root_scale_.find(root);
    if (it != root_scale_.end()) return it->second;
    root_zero_[root] = AddConstant(root + "_zero_point",
                                   ZeroPoint(plan_.activation_format, grid.qparams.zero_point));
    return root_scale_[root] = AddConstant(root + "_scale", Tensor::Scalar(grid.qparams.scale));
  }

  Model model_;
  Graph& graph_;
  const Plan& plan_;
  std::vector<std::string>* notes_;
  Sites sites_;
  std::vector<Node> added_;  // apart, so that indexes and references into the graph hold
  std::unordered_set<std::string> names_;
  std::map<std::pair<DType, int64_t>, std::string> zeros_;
  std::unordered_map<std::string, std::string> dequantized_, root_scale_, root_zero_;
};

}  // namespace

Model PrepareFloat(Model model, std::vector<std::string>* folded) {
  FoldConstants(model.graph);
  std::vector<std::string> names = FoldScalesAndShifts(model.graph);
  if (folded) *folded = std::move(names);
  return model;
}

Model PrepareFor(const Model& model, const Plan& plan) {
  Model prepared = PrepareFloat(model);
  prepared.graph = ScaleChannels(prepared.graph, plan.equalization);
  return prepared;
}

Model ApplyPlan(const Model& prepared, const Plan& plan, std::vector<std::string>* notes) {
  return Applier(prepared, plan, notes).Run();
}

}  // namespace mezzo
