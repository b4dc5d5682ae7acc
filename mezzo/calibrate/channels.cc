#include "mezzo/calibrate/channels.h"

#include <algorithm>

namespace mezzo {
namespace {

// Adds each channel's mean square over a sample.
void Add(const Tensor& value, size_t axis, std::vector<ChannelRange>& channels) {
  const Tensor t = value.ToLayout(Layout::kPlain);
  const int64_t count = t.dim(axis);
  int64_t inner = 1;
  for (size_t i = axis + 1; i < t.rank(); ++i) inner *= t.dim(i);
  const int64_t rows = t.numel() / std::max<int64_t>(1, inner);
  const float* x = t.data<float>();
  std::vector<double> square(count);
  for (int64_t r = 0; r < rows; ++r) {
    ChannelRange& c = channels[r % count];
    double sum = 0;
    for (const float v : std::span(x + r * inner, static_cast<size_t>(inner))) {
      c.lo = std::min(c.lo, v);
      c.hi = std::max(c.hi, v);
      sum += static_cast<double>(v) * v;
    }
    square[r % count] += sum;
  }
  for (int64_t c = 0; c < count; ++c)
    channels[c].square += square[c] * static_cast<double>(count) / static_cast<double>(t.numel());
}

}  // namespace

std::map<std::string, std::vector<ChannelRange>> CollectChannels(
    const Graph& graph, const std::map<std::string, int>& axes, const SampleFn& sample,
    size_t count, const Threads& threads) {
  std::map<std::string, std::vector<ChannelRange>> all;
  std::set<std::string> changing;
  const auto observe = [&](const std::string& name, const Tensor& t) {
    const auto it = axes.find(name);
    if (it == axes.end() || t.dtype() != DType::kFloat32 || t.numel() == 0) return;
    const int axis = it->second < 0 ? it->second + static_cast<int>(t.rank()) : it->second;
    if (axis < 0 || axis >= static_cast<int>(t.rank())) return;
    std::vector<ChannelRange>& channels = all[name];
    if (channels.empty()) channels.resize(t.dim(axis));
    if (static_cast<int64_t>(channels.size()) == t.dim(axis)) {
      Add(t, axis, channels);
    } else {
      changing.insert(name);
    }
  };
  const Session session(graph, {threads});
  for (size_t i = 0; i < count; ++i) {
    const TensorMap inputs = sample(i);
    for (const auto& [name, t] : inputs) observe(name, t);
    session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
      observe(node.outputs[output], value);
    });
  }
  for (const std::string& name : changing) all.erase(name);
  for (auto& [name, channels] : all)
    for (ChannelRange& c : channels) c.square /= static_cast<double>(count);
  return all;
}

}  // namespace mezzo
