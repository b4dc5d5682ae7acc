#include "mezzo/algorithm/moments.h"

#include <algorithm>
#include <map>

#include "mezzo/algorithm/weights.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {
namespace {

// Columns of one sample: (depth, count) for each group.
struct Columns {
  int64_t count = 0;
  std::vector<std::vector<float>> values;
};

// How many of `all` to take, and which: every `step`-th from `first` on.
struct Choice {
  int64_t step, first, count;
  Choice(int64_t all, size_t sample)
      : step(std::max<int64_t>(1, (all + kColumns - 1) / kColumns)),
        first(all > 0 ? static_cast<int64_t>(sample) % std::min(step, all) : 0),
        count(all > 0 ? (all - first + step - 1) / step : 0) {}
};

Columns WindowColumns(const Node& node, const Tensor& weight, const Tensor& value, size_t sample) {
  const Tensor x = value.ToLayout(Layout::kChannelsLast);
  const std::vector<int64_t> kernel(weight.shape().begin() + 2, weight.shape().end());
  const Window window = ReadWindow(node, x.shape(), kernel);
  const int64_t groups = node.Int("group", 1), inputs = weight.dim(1), channels = x.dim(1);
  const int64_t taps = window.taps(), pixels = window.out_size();
  const Choice choice(x.dim(0) * pixels, sample);
  Columns c{choice.count, {}};
  c.values.assign(groups, std::vector<float>(taps * inputs * choice.count));
  std::vector<int64_t> offsets(taps);
  for (int64_t n = 0, at = 0, column = 0; n < x.dim(0); ++n) {
    const float* from = x.data<float>() + n * window.in_size() * channels;
    TapWalk walk(window, 0);
    for (int64_t pixel = 0; pixel < pixels; ++pixel, ++at) {
      walk.Next(offsets.data());
      if (at < choice.first || (at - choice.first) % choice.step) continue;
      for (int64_t tap = 0; tap < taps; ++tap) {
        if (offsets[tap] < 0) continue;
        const float* values = from + offsets[tap] * channels;
        for (int64_t ch = 0; ch < channels; ++ch)
          c.values[ch / inputs][(tap * inputs + ch % inputs) * choice.count + column] = values[ch];
      }
      ++column;
    }
  }
  return c;
}

Columns RowColumns(const Tensor& value, int64_t depth, size_t sample) {
  const Tensor x = value.ToLayout(Layout::kPlain);
  const Choice choice(x.numel() / depth, sample);
  Columns c{choice.count, {std::vector<float>(depth * choice.count)}};
  for (int64_t i = 0; i < choice.count; ++i) {
    const float* row = x.data<float>() + (choice.first + i * choice.step) * depth;
    for (int64_t k = 0; k < depth; ++k) c.values[0][k * choice.count + i] = row[k];
  }
  return c;
}

class Layer {
 public:
  Layer(const Graph& graph, const Node& node)
      : node_(node), weight_(*graph.Initializer(node.inputs[1])) {
    const WeightRows rows(node, weight_);
    groups_ = node.Is("Conv") ? node.Int("group", 1) : 1;
    moments_.depth = rows.depth;
  }

  size_t Bytes() const { return groups_ * moments_.depth * moments_.depth * sizeof(float); }
  const Node& node() const { return node_; }
  Moments Take() { return std::move(moments_); }

  void Add(const Tensor& value, size_t sample, const Threads& threads) {
    const Columns c = node_.Is("Conv") ? WindowColumns(node_, weight_, value, sample)
                                       : RowColumns(value, moments_.depth, sample);
    if (c.count == 0) return;
    Moments& m = moments_;
    const int64_t d = m.depth;
    m.sums.resize(groups_, std::vector<float>(d * d));
    m.totals.resize(groups_, std::vector<double>(d));
    for (size_t g = 0; g < groups_; ++g) {
      const std::vector<float>& x = c.values[g];
      const PackedB b(x.data(), c.count, d, 1, c.count, threads);
      for (int64_t k = 0; k < d; ++k)
        for (int64_t i = 0; i < c.count; ++i) m.totals[g][k] += x[k * c.count + i];
      float* h = m.sums[g].data();
      Sgemm(x.data(), c.count, d, b, h, d, {h, d}, threads);
    }
    m.columns += c.count;
  }

 private:
  const Node& node_;
  const Tensor weight_;
  size_t groups_ = 1;
  Moments moments_;
};

void CollectSome(const Graph& graph, std::vector<Layer>& layers, const SampleFn& sample,
                 size_t count, const Threads& threads) {
  std::map<std::string, std::vector<Layer*>> readers;
  for (Layer& layer : layers) readers[layer.node().inputs[0]].push_back(&layer);
  const Session session(graph, {threads});
  for (size_t i = 0; i < count; ++i) {
    const auto observe = [&](const std::string& name, const Tensor& t) {
      const auto it = readers.find(name);
      if (it == readers.end()) return;
      for (Layer* layer : it->second) layer->Add(t, i, threads);
    };
    const TensorMap inputs = sample(i);
    for (const auto& [name, t] : inputs) observe(name, t);
    session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
      observe(node.outputs[output], value);
    });
  }
}

}  // namespace

void CollectMoments(const Graph& graph, const std::vector<std::string>& names,
                    const SampleFn& sample, size_t count, size_t memory, const Threads& threads,
                    const std::function<void(const Node&, const Moments&)>& take) {
  std::vector<Layer> some;
  size_t bytes = 0;
  const auto run = [&] {
    CollectSome(graph, some, sample, count, threads);
    for (Layer& layer : some) take(layer.node(), layer.Take());
    some.clear();
    bytes = 0;
  };
  for (const Node& node : graph.nodes) {
    if (std::find(names.begin(), names.end(), node.name) == names.end()) continue;
    Layer layer(graph, node);
    if (!some.empty() && bytes + layer.Bytes() > memory) run();
    bytes += layer.Bytes();
    some.push_back(std::move(layer));
  }
  if (!some.empty()) run();
}

}  // namespace mezzo
