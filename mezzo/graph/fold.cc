// FoldScalesAndShifts: y = a * layer(x) + b per channel becomes one layer.
#include <cmath>
#include <optional>

#include "mezzo/graph/passes.h"

namespace mezzo {
namespace {

struct Affine {
  std::vector<double> scale, shift;  // per output channel
};

std::optional<std::vector<double>> Doubles(const Graph& graph, const std::string& name) {
  const Tensor* t = graph.Initializer(name);
  if (!t || t->dtype() != DType::kFloat32) return std::nullopt;
  const auto values = t->span<float>();
  return std::vector<double>(values.begin(), values.end());
}

// The output channels of a layer that can absorb an affine, and which axis of its weight they are;
// 0 if it cannot.
struct Channels {
  int64_t count = 0;
  size_t axis = 0;        // of the weight
  size_t value_axis = 1;  // of the output
};

Channels OutputChannels(const Graph& graph, const Node& node) {
  if (!node.Is("Conv") && !node.Is("ConvTranspose") && !node.Is("Gemm")) return {};
  const Tensor* w = node.HasInput(1) ? graph.Initializer(node.inputs[1]) : nullptr;
  if (!w || w->dtype() != DType::kFloat32) return {};
  if (node.HasInput(2) && !graph.Initializer(node.inputs[2])) return {};
  if (node.Is("Conv")) return {w->dim(0), 0, 1};
  if (node.Is("ConvTranspose")) {
    if (node.Int("group", 1) != 1) return {};
    return {w->dim(1), 1, 1};
  }
  if (node.Float("alpha", 1) != 1 || node.Float("beta", 1) != 1) return {};
  const size_t axis = node.Int("transB", 0) ? 0 : 1;
  return {w->dim(axis), axis, 1};
}

// A constant with one value, or one value per channel laid along the channel axis of the layer's
// output. The output's rank is the weight's for convolutions, 2 for Gemm.
std::optional<std::vector<double>> PerChannel(const Graph& graph, const std::string& name,
                                              int64_t channels, size_t rank) {
  const Tensor* t = graph.Initializer(name);
  if (!t || t->dtype() != DType::kFloat32 || t->rank() > rank) return std::nullopt;
  const auto values = Doubles(graph, name);
  if (t->numel() == 1) return std::vector<double>(channels, (*values)[0]);
  if (t->numel() != channels) return std::nullopt;
  const size_t axis = rank == 1 ? 0 : 1;   // a bias has nothing but channels
  const size_t offset = rank - t->rank();  // broadcasting aligns the last axes
  if (offset > axis || t->dim(axis - offset) != channels) return std::nullopt;
  return values;
}

std::optional<Affine> AffineOf(const Graph& graph, const Node& node, size_t data_input,
                               int64_t channels, size_t rank) {
  if (node.Is("BatchNormalization")) {
    if (node.Int("training_mode", 0)) return std::nullopt;
    const auto gamma = Doubles(graph, node.inputs.at(1)), beta = Doubles(graph, node.inputs.at(2)),
               mean = Doubles(graph, node.inputs.at(3)), var = Doubles(graph, node.inputs.at(4));
    if (!gamma || !beta || !mean || !var || static_cast<int64_t>(gamma->size()) != channels)
      return std::nullopt;
    const double epsilon = node.Float("epsilon", 1e-5f);
    Affine a{std::vector<double>(channels), std::vector<double>(channels)};
    for (int64_t c = 0; c < channels; ++c) {
      a.scale[c] = (*gamma)[c] / std::sqrt((*var)[c] + epsilon);
      a.shift[c] = (*beta)[c] - (*mean)[c] * a.scale[c];
    }
    return a;
  }
  const bool scales = node.Is("Mul") || node.Is("Div"), shifts = node.Is("Add") || node.Is("Sub");
  if (!scales && !shifts) return std::nullopt;
  const bool inverse = node.Is("Div") || node.Is("Sub");
  if (inverse && data_input != 0) return std::nullopt;
  auto values = PerChannel(graph, node.inputs.at(1 - data_input), channels, rank);
  if (!values) return std::nullopt;
  if (scales) {
    if (inverse)
      for (double& v : *values) v = 1 / v;
    return Affine{*values, std::vector<double>(channels, 0.0)};
  }
  if (inverse)
    for (double& v : *values) v = -v;
  return Affine{std::vector<double>(channels, 1.0), *values};
}

void Absorb(Graph& graph, Node& layer, const Channels& ch, const Affine& a) {
  Tensor w = graph.Initializer(layer.inputs[1])->Clone();
  int64_t inner = 1;
  for (size_t i = ch.axis + 1; i < w.rank(); ++i) inner *= w.dim(i);
  float* values = w.data<float>();
  for (int64_t i = 0; i < w.numel(); ++i)
    values[i] = static_cast<float>(values[i] * a.scale[i / inner % ch.count]);

  Tensor bias(DType::kFloat32, {ch.count});
  const std::vector<double> old =
      layer.HasInput(2) ? *PerChannel(graph, layer.inputs[2], ch.count, layer.Is("Gemm") ? 2 : 1)
                        : std::vector<double>(ch.count, 0.0);
  for (int64_t c = 0; c < ch.count; ++c)
    bias.data<float>()[c] = static_cast<float>(old[c] * a.scale[c] + a.shift[c]);

  // New names: others may share the old tensors.
  const std::string w_name = FreshName(graph, layer.inputs[1] + "_folded");
  graph.initializers[w_name] = std::move(w);
  layer.inputs[1] = w_name;
  layer.inputs.resize(3);
  const std::string b_name = FreshName(graph, layer.name + "_bias");
  graph.initializers[b_name] = std::move(bias);
  layer.inputs[2] = b_name;
}

bool BiasFolds(const Graph& graph, const Node& layer, const Channels& ch) {
  if (!layer.HasInput(2)) return true;
  return PerChannel(graph, layer.inputs[2], ch.count, layer.Is("Gemm") ? 2 : 1).has_value();
}

}  // namespace

std::vector<std::string> FoldScalesAndShifts(Graph& graph) {
  std::vector<std::string> folded;
  bool changed = true;
  while (changed) {
    changed = false;
    const Uses uses(graph);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      Node& layer = graph.nodes[i];
      const Channels ch = OutputChannels(graph, layer);
      if (ch.count == 0 || !BiasFolds(graph, layer, ch)) continue;
      const std::string y = layer.outputs[0];
      if (uses.count(y) != 1 || uses.is_output.contains(y)) continue;
      const size_t next = uses.consumers.at(y)[0];
      const Node& node = graph.nodes[next];
      const size_t data_input = node.inputs[0] == y ? 0 : 1;
      const size_t rank = layer.Is("Gemm") ? 2 : graph.Initializer(layer.inputs[1])->rank();
      const auto affine = AffineOf(graph, node, data_input, ch.count, rank);
      if (!affine) continue;
      Absorb(graph, layer, ch, *affine);
      folded.push_back(node.name);
      layer.outputs[0] = node.outputs[0];  // the later name lives on
      graph.nodes.erase(graph.nodes.begin() + next);
      changed = true;
      break;  // indexes have moved
    }
  }
  RemoveUnused(graph);
  SortNodes(graph);
  return folded;
}

}  // namespace mezzo
