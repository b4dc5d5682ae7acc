#include "mezzo/algorithm/noise_gain.h"

#include <numeric>
#include <unordered_set>

#include "mezzo/graph/scale_channels.h"

namespace mezzo {
namespace {

using Gains = std::vector<double>;

// Channels stay what they are.
bool KeepsChannels(const Node& node) {
  static const std::unordered_set<std::string> kOps{
      "Relu",          "Clip",        "Sigmoid",
      "HardSigmoid",   "HardSwish",   "Tanh",
      "Elu",           "LeakyRelu",   "PRelu",
      "Gelu",          "Erf",         "Softplus",
      "Mish",          "Add",         "Sub",
      "Div",           "Mul",         "MaxPool",
      "Sqrt",          "AveragePool", "GlobalAveragePool",
      "GlobalMaxPool", "Identity",    "Resize"};
  return node.domain.empty() && kOps.contains(node.op_type);
}

bool IsProduct(const Graph& graph, const Node& node) {
  return node.Is("Mul") && !graph.Initializer(node.inputs[0]) && !graph.Initializer(node.inputs[1]);
}

double Mean(const Gains& g) {
  return std::accumulate(g.begin(), g.end(), 0.0) / static_cast<double>(g.size());
}

Gains ForChannels(const Gains& g, int64_t channels) {
  return static_cast<int64_t>(g.size()) == channels ? g : Gains(channels, Mean(g));
}

class Walk {
 public:
  Walk(const Graph& graph, const std::map<std::string, std::vector<ChannelRange>>& channels)
      : graph_(graph), channels_(channels) {}

  ChannelGains Run() {
    for (const ValueInfo& out : graph_.outputs) Add(out.name, {1.0});
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      Gains g;
      for (const std::string& out : node.outputs)
        if (const auto it = gains_.find(out); it != gains_.end() && g.empty()) g = it->second;
      if (!g.empty()) Visit(node, g);
    }
    return std::move(gains_);
  }

 private:
  // Sums; one number stands for as many as the other has.
  void Add(const std::string& value, const Gains& g) {
    if (value.empty() || graph_.Initializer(value)) return;
    Gains& sum = gains_[value];
    if (sum.empty()) {
      sum = g;
    } else if (sum.size() == g.size() || g.size() == 1) {
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += g[g.size() == 1 ? 0 : i];
    } else if (sum.size() == 1) {
      const double all = sum[0];
      sum = g;
      for (double& v : sum) v += all;
    } else {
      sum = {Mean(sum) + Mean(g)};
    }
  }

  void Visit(const Node& node, const Gains& g) {
    LayerChannels layer;
    if (LayerChannels::Of(graph_, node, &layer)) return VisitLayer(node, layer, g);
    if (IsProduct(graph_, node)) {
      Add(node.inputs[0], Times(g, node.inputs[1]));
      Add(node.inputs[1], Times(g, node.inputs[0]));
      return;
    }
    if (node.Is("Concat") && SplitConcat(node, g)) return;
    const Gains passed = KeepsChannels(node) ? g : Gains{Mean(g)};
    for (const std::string& in : node.inputs) Add(in, passed);
  }

  void VisitLayer(const Node& node, const LayerChannels& layer, const Gains& g) {
    const float* w = graph_.Initializer(node.inputs[1])->data<float>();
    Gains in(layer.inputs);
    const Gains out = ForChannels(g, layer.outputs);
    layer.Each([&](int64_t at, int64_t i, int64_t o) {
      in[i] += static_cast<double>(w[at]) * w[at] * out[o];
    });
    Add(node.inputs[0], in);
  }

  Gains Times(const Gains& g, const std::string& other) const {
    const auto it = channels_.find(other);
    if (it == channels_.end() || (g.size() > 1 && g.size() != it->second.size())) return g;
    Gains product;
    for (size_t c = 0; c < it->second.size(); ++c)
      product.push_back(g[g.size() == 1 ? 0 : c] * it->second[c].square);
    return product;
  }

  // Each input its part, where the layers that made them tell their channels.
  bool SplitConcat(const Node& node, const Gains& g) {
    if (g.size() == 1 || node.Int("axis", 0) != 1) return false;
    std::vector<size_t> sizes;
    for (const std::string& in : node.inputs) {
      const auto it = channels_.find(in);
      if (it == channels_.end()) return false;
      sizes.push_back(it->second.size());
    }
    if (std::accumulate(sizes.begin(), sizes.end(), size_t{0}) != g.size()) return false;
    auto from = g.begin();
    for (size_t i = 0; i < sizes.size(); from += static_cast<std::ptrdiff_t>(sizes[i]), ++i)
      Add(node.inputs[i], Gains(from, from + static_cast<std::ptrdiff_t>(sizes[i])));
    return true;
  }

  const Graph& graph_;
  const std::map<std::string, std::vector<ChannelRange>>& channels_;
  ChannelGains gains_;
};

}  // namespace

ChannelGains NoiseGains(const Graph& graph,
                        const std::map<std::string, std::vector<ChannelRange>>& channels) {
  return Walk(graph, channels).Run();
}

std::vector<double> GainsOf(const ChannelGains& gains, const std::string& value, int64_t channels) {
  const auto it = gains.find(value);
  return it == gains.end() ? Gains(channels, 1.0) : ForChannels(it->second, channels);
}

std::vector<std::string> NeededChannels(const Graph& graph) {
  std::vector<std::string> values;
  for (const Node& node : graph.nodes)
    if (IsProduct(graph, node) || (node.Is("Concat") && node.Int("axis", 0) == 1))
      values.insert(values.end(), node.inputs.begin(), node.inputs.end());
  return values;
}

}  // namespace mezzo
