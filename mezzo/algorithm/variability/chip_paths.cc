#include "mezzo/algorithm/variability/chip_paths.h"

#include <algorithm>
#include <unordered_map>

#include "mezzo/algorithm/recovery/low_rank_fit.h"
#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/algorithm/rounding.h"
#include "mezzo/runtime/cim.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

constexpr size_t kMomentBytes = size_t{256} << 20;  // while they are collected

using Nodes = std::unordered_map<std::string, const Node*>;

Nodes ByName(const Graph& graph) {
  Nodes nodes;
  for (const Node& node : graph.nodes) nodes[node.name] = &node;
  return nodes;
}

// The scales of the DequantizeLinear behind which a layer's codes are; null for another layer.
const Tensor* ScalesOf(const Graph& qdq, const Nodes& nodes, const std::string& layer) {
  const auto it = nodes.find(layer);
  if (it == nodes.end() || !it->second->HasInput(1)) return nullptr;
  for (const Node& node : qdq.nodes)
    if (node.Is("DequantizeLinear") && node.outputs[0] == it->second->inputs[1])
      return qdq.Initializer(node.inputs[1]);
  return nullptr;
}

}  // namespace

ChipPaths::ChipPaths(const Graph& qdq, const Graph& lowered, const SampleFn& sample, size_t count,
                     const Threads& threads)
    : lowered_(lowered), threads_(threads) {
  const Nodes written = ByName(qdq), nodes = ByName(lowered_);
  std::vector<std::string> readers;
  for (const Node& node : lowered_.nodes) {
    const auto a = nodes.find(PathNode(node.name, "A")), b = nodes.find(PathNode(node.name, "B"));
    if (a == nodes.end() || b == nodes.end()) continue;
    const Tensor *wa = lowered_.Initializer(a->second->inputs.at(1)),
                 *wb = lowered_.Initializer(b->second->inputs.at(1)),
                 *scales = ScalesOf(qdq, written, node.name);
    if (!wa || !wb || !scales || !lowered_.Initializer(node.inputs.at(1))) continue;
    Layer layer{&node, a->second, b->second->inputs[1], FromWeights(*a->second, {*wa, *wb}),
                {},    {}};
    const auto values = scales->span<float>();
    layer.scales.assign(static_cast<size_t>(layer.path.b.dim(0)), values[0]);
    if (values.size() > 1) layer.scales.assign(values.begin(), values.end());
    layers_.push_back(std::move(layer));
    readers.push_back(a->first);
  }
  if (layers_.empty()) return;
  CollectMoments(lowered_, readers, sample, count, kMomentBytes, threads_,
                 [&](const Node& node, const Moments& m) {
                   for (Layer& layer : layers_)
                     if (layer.a == &node) layer.h = DampMoments(m.sums.at(0), m.depth, m.columns);
                 });
}

void ChipPaths::Set(Graph& graph, const Layer& layer, const LowRank& path) const {
  const std::string& a = layer.a->inputs[1];
  PathWeights w = ToWeights(*layer.a, graph.initializers.at(a).shape(), path);
  graph.initializers[a] = std::move(w.a);
  graph.initializers[layer.b] = std::move(w.b);
}

int64_t ChipPaths::rank() const {
  int64_t rank = 0;
  for (const Layer& layer : layers_) rank = std::max(rank, layer.path.rank());
  return rank;
}

Graph ChipPaths::Without() const {
  Graph graph = lowered_;
  for (const Layer& layer : layers_) {
    LowRank none = layer.path;
    none.b = Tensor::Zeros(DType::kFloat32, none.b.shape());
    Set(graph, layer, none);
  }
  return graph;
}

// W - V: what the cells of these chips lack of the codes, in the mean: (outputs, depth).
Tensor ChipPaths::Lack(const Layer& layer, const std::vector<CimOptions>& chips) const {
  const CimWeights w = Codes(layer);
  Tensor lack = Tensor::Zeros(DType::kFloat32, {layer.path.b.dim(0), layer.path.a.dim(1)});
  const double share = 1 / static_cast<double>(chips.size());
  for (const CimOptions& chip : chips) {
    const std::vector<float> cells =
        EffectiveWeights(w, chip, CimSeed(chip.chip, layer.product->name));
    for (size_t k = 0; k < w.depth; ++k)
      for (size_t n = 0; n < w.cols; ++n) {
        const size_t at = k * w.cols + n;
        lack.data<float>()[n * w.depth + k] +=
            static_cast<float>(share * layer.scales[n] * (w.values[at] - double{cells[at]}));
      }
  }
  return lack;
}

CimWeights ChipPaths::Codes(const Layer& layer) const {
  return CimWeightsOf(*layer.product, *lowered_.Initializer(layer.product->inputs[1]))[0];
}

LowRank ChipPaths::Fit(const Layer& layer, const Tensor& error) const {
  return RoundToBFloat16(FitLowRank(error, layer.h, layer.path.rank(), threads_));
}

Graph ChipPaths::FittedTo(const std::vector<CimOptions>& chips) const {
  Graph graph = lowered_;
  for (const Layer& layer : layers_)
    Set(graph, layer, Fit(layer, Sum(Product(layer.path, threads_), Lack(layer, chips))));
  return graph;
}

std::vector<ChipRecovery> ChipPaths::Recovered(const CimOptions& chip) const {
  std::vector<ChipRecovery> all;
  for (const Layer& layer : layers_) {
    const CimWeights w = Codes(layer);
    const auto d = static_cast<int64_t>(w.depth);
    Tensor codes(DType::kFloat32, {layer.path.b.dim(0), d});
    for (size_t k = 0; k < w.depth; ++k)
      for (size_t n = 0; n < w.cols; ++n)
        codes.data<float>()[n * w.depth + k] = layer.scales[n] * w.values[k * w.cols + n];
    const Tensor path = Product(layer.path, threads_);
    const Tensor error = Sum(path, Lack(layer, {chip}));
    const PackedB h(layer.h.data(), d, d, d, 1, threads_);
    const double power = WeightedSquares(Sum(codes, path), h, threads_);
    const Tensor left = Difference(error, Product(Fit(layer, error), threads_));
    all.push_back({layer.product->name, layer.path.rank(),
                   WeightedSquares(error, h, threads_) / power,
                   WeightedSquares(left, h, threads_) / power});
  }
  return all;
}

}  // namespace mezzo
