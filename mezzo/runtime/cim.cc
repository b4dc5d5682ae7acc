#include "mezzo/runtime/cim.h"

#include <algorithm>
#include <unordered_map>

namespace mezzo {
namespace {

bool IsProduct(const Node& node, const std::string& op) {
  return node.domain == "mezzo" && node.op_type == op;
}

bool FitsArrays(const Graph& graph, const Node& node) {
  const Tensor* w = node.HasInput(1) ? graph.Initializer(node.inputs[1]) : nullptr;
  if (!w || (node.HasInput(2) && !graph.Initializer(node.inputs[2]))) return false;
  return IsProduct(node, "QConv") || (IsProduct(node, "QMatMul") && w->rank() == 2);
}

void SetOptions(Node& node, const CimOptions& o) {
  auto& a = node.attributes;
  a["cim_rows"] = static_cast<int64_t>(o.rows);
  a["cim_adc_bits"] = static_cast<int64_t>(o.adc_bits);
  a["cim_adc_full_scale"] = o.adc_full_scale;
  a["cim_sigma"] = o.sigma;
  a["cim_stuck_at_0"] = o.stuck_at_0;
  a["cim_stuck_at_1"] = o.stuck_at_1;
  a["cim_read_noise"] = o.read_noise;
  a["cim_drift"] = o.drift;
  a["cim_drift_spread"] = o.drift_spread;
  a["cim_chip"] = static_cast<int64_t>(o.chip);
}

// Planes of codes less their zero points.
int64_t PlanesOf(const Tensor& codes, const std::vector<int64_t>& zeros) {
  const Tensor ints = Cast(codes, DType::kInt32);
  const auto [low, high] = std::minmax_element(zeros.begin(), zeros.end());
  const auto [least, most] =
      std::minmax_element(ints.span<int32_t>().begin(), ints.span<int32_t>().end());
  const int64_t from = ints.numel() ? *least - (zeros.empty() ? 0 : *high) : 0;
  const int64_t to = ints.numel() ? *most - (zeros.empty() ? 0 : *low) : 0;
  return static_cast<int64_t>(
      CimWeights{1, 2, {static_cast<int16_t>(from), static_cast<int16_t>(to)}}.Planes());
}

}  // namespace

Graph OnArrays(const Graph& lowered, const CimOptions& options) {
  CheckCimOptions(options);
  Graph graph = lowered;
  for (Node& node : graph.nodes) {
    if (!FitsArrays(graph, node)) continue;
    node.op_type = IsProduct(node, "QConv") ? "CimConv" : "CimMatMul";
    SetOptions(node, options);
  }
  return graph;
}

CimOptions CimOptionsOf(const Node& node) {
  CimOptions o;
  o.rows = static_cast<size_t>(node.Int("cim_rows", 0));
  o.adc_bits = static_cast<int>(node.Int("cim_adc_bits", 0));
  o.adc_full_scale = node.Float("cim_adc_full_scale", 1);
  o.sigma = node.Float("cim_sigma", 0);
  o.stuck_at_0 = node.Float("cim_stuck_at_0", 0);
  o.stuck_at_1 = node.Float("cim_stuck_at_1", 0);
  o.read_noise = node.Float("cim_read_noise", 0);
  o.drift = node.Float("cim_drift", 0);
  o.drift_spread = node.Float("cim_drift_spread", 0);
  o.chip = static_cast<uint64_t>(node.Int("cim_chip", 0));
  return o;
}

std::vector<CimWeights> CimWeightsOf(const Node& node, const Tensor& w) {
  const bool conv = node.op_type.ends_with("Conv");
  const bool outputs_first = conv || node.Int("transpose_b", 0) != 0;
  const int64_t outputs = w.dim(outputs_first ? 0 : 1),
                depth = w.numel() / std::max<int64_t>(outputs, 1);
  const int64_t inputs = conv ? w.dim(1) : depth, taps = conv ? depth / inputs : 1;
  const int64_t groups = node.Int("group", 1), cols = outputs / groups;
  const std::vector<int64_t> zeros = node.Ints(conv ? "w_zero_points" : "b_zero_points");
  const Tensor codes = Cast(w, DType::kInt32);
  std::vector<CimWeights> all;
  for (int64_t g = 0; g < groups; ++g) {
    CimWeights& to =
        all.emplace_back(CimWeights{static_cast<size_t>(depth), static_cast<size_t>(cols), {}});
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t n = g * cols; n < (g + 1) * cols; ++n) {
        const int64_t at =
            outputs_first ? (n * inputs + k % inputs) * taps + k / inputs : k * outputs + n;
        const int64_t zero = zeros.empty() ? 0 : zeros[zeros.size() > 1 ? n : 0];
        to.values.push_back(static_cast<int16_t>(codes.data<int32_t>()[at] - zero));
      }
  }
  return all;
}

std::vector<CimLayer> CimLayers(const Graph& graph, const TensorMap& inputs) {
  std::unordered_map<std::string, int64_t> elements;
  for (const auto& [name, t] : inputs) elements[name] = t.numel();
  Session(graph, {}).Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
    elements[node.outputs[output]] = value.numel();
  });
  std::vector<CimLayer> layers;
  for (const Node& node : graph.nodes) {
    const bool conv = IsProduct(node, "CimConv");
    if (!conv && !IsProduct(node, "CimMatMul")) continue;
    const Tensor& w = *graph.Initializer(node.inputs[1]);
    const int64_t cols = conv ? w.dim(0) : w.dim(node.Int("transpose_b", 0) ? 0 : 1);
    CimLayer layer{node.name,
                   w.numel() / std::max<int64_t>(cols, 1),
                   node.Int("group", 1),
                   w.numel(),
                   PlanesOf(w, node.Ints(conv ? "w_zero_points" : "b_zero_points")),
                   elements[node.inputs[0]],
                   elements[node.outputs[0]]};
    layers.push_back(std::move(layer));
  }
  return layers;
}

std::vector<std::string> DigitalProducts(const Graph& graph) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes)
    for (const char* op : {"QConv", "QMatMul", "Conv", "ConvTranspose", "Gemm", "MatMul",
                           "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger", "LSTM",
                           "GRU", "RNN", "Einsum", "Attention"})
      if (node.op_type == op) names.push_back(Cat(node.name, " (", op, ")"));
  return names;
}

}  // namespace mezzo
