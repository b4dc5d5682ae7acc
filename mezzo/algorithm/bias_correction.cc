#include "mezzo/algorithm/bias_correction.h"

#include <cmath>
#include <unordered_map>

#include "mezzo/algorithm/sites.h"

namespace mezzo {
namespace {

// Sums per channel as integers, so that the order of the samples does not matter: each sample's
// mean counts in units of 2^-40 of the largest magnitude that calibration saw.
struct ChannelSums {
  QParams qparams;
  IntFormat format;
  double unit = 1;
  int64_t samples = 0;
  std::vector<int64_t> real, coded;

  // Channels along axis 1, or along the last axis for matrices.
  void Add(const Tensor& t) {
    const size_t channels = static_cast<size_t>(t.rank() < 2 ? t.numel() : t.dim(1));
    real.resize(channels);
    coded.resize(channels);
    const Tensor plain = t.ToLayout(Layout::kPlain);
    const float* x = plain.data<float>();
    const int64_t batch = t.rank() < 2 ? 1 : t.dim(0),
                  inner = t.numel() / std::max<int64_t>(1, batch * channels);
    for (size_t c = 0; c < channels; ++c) {
      double sum = 0, sum_coded = 0;
      for (int64_t n = 0; n < batch; ++n) {
        const float* row = x + (n * channels + c) * inner;
        for (int64_t i = 0; i < inner; ++i) {
          sum += row[i];
          sum_coded += Dequantize(qparams, Quantize(format, qparams, row[i]));
        }
      }
      const double count = static_cast<double>(std::max<int64_t>(1, batch * inner));
      real[c] += std::llround(sum / count / unit);
      coded[c] += std::llround(sum_coded / count / unit);
    }
    ++samples;
  }

  void Merge(const ChannelSums& o) {
    if (real.empty()) real.resize(o.real.size()), coded.resize(o.coded.size());
    for (size_t c = 0; c < o.real.size(); ++c) real[c] += o.real[c], coded[c] += o.coded[c];
    samples += o.samples;
  }
};

std::vector<float> ShiftOf(const Node& node, const Tensor& weight, const std::vector<float>& scales,
                           const ChannelSums& sums) {
  const bool conv = node.Is("Conv"), transposed = conv || node.Int("transB", 0);
  const int64_t out = transposed ? weight.dim(0) : weight.dim(1);
  const int64_t in = transposed ? weight.dim(1) : weight.dim(0);  // per group
  const int64_t taps = weight.numel() / (out * in);
  const int64_t per_group = out / (conv ? node.Int("group", 1) : 1);
  if (in * (out / per_group) != static_cast<int64_t>(sums.real.size()))
    return {};  // not laid out as expected
  const double to_mean = sums.unit / static_cast<double>(sums.samples);
  std::vector<float> shift(out);
  for (int64_t o = 0; o < out; ++o) {
    double sum = 0;
    for (int64_t c = 0; c < in; ++c) {
      double w = 0, w_coded = 0;
      for (int64_t k = 0; k < taps; ++k) {
        const float v = weight.data<float>()[transposed ? (o * in + c) * taps + k : c * out + o];
        w += v;
        w_coded += Dequantize({scales[o], 0}, Quantize(kInt8, {scales[o], 0}, v));
      }
      const int64_t channel = o / per_group * in + c;
      sum += to_mean * (static_cast<double>(sums.real[channel]) * w -
                        static_cast<double>(sums.coded[channel]) * w_coded);
    }
    shift[o] = static_cast<float>(sum);
  }
  return shift;
}

}  // namespace

std::map<std::string, std::vector<float>> BiasShifts(const Graph& graph, const Plan& plan,
                                                     const SampleFn& sample, size_t count,
                                                     const Threads& threads) {
  std::set<std::string> quantized;
  for (const auto& [name, node] : plan.nodes)
    if (node.quantized) quantized.insert(name);
  const Sites sites = FindSites(graph, quantized);
  std::unordered_map<std::string, ChannelSums> empty;
  std::vector<const Node*> layers;
  for (const size_t i : sites.integer_nodes) {
    const Node& node = graph.nodes[i];
    if (!quantized.contains(node.name) || node.Is("MatMul")) continue;
    layers.push_back(&node);
    const ActivationPlan& a = plan.activations.at(sites.root.at(node.inputs[0]));
    const double amax = std::max({std::fabs(a.lo), std::fabs(a.hi), 1e-30f});
    empty[node.inputs[0]] = {a.qparams, plan.activation_format, std::ldexp(amax, -36)};
  }

  const Session session(graph, {});
  std::vector<std::unordered_map<std::string, ChannelSums>> seen(threads.count(), empty);
  threads.Each(count, [&](size_t i, size_t worker) {
    const auto observe = [&](const std::string& name, const Tensor& t) {
      const auto it = seen[worker].find(name);
      if (it != seen[worker].end()) it->second.Add(t);
    };
    const TensorMap inputs = sample(i);
    for (const auto& [name, t] : inputs) observe(name, t);
    session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
      observe(node.outputs[output], value);
    });
  });
  for (auto& [name, sums] : empty)
    for (auto& part : seen) sums.Merge(part.at(name));

  std::map<std::string, std::vector<float>> shifts;
  for (const Node* node : layers)
    shifts[node->name] =
        ShiftOf(*node, *graph.Initializer(node->inputs[1]), plan.nodes.at(node->name).weight_scales,
                empty.at(node->inputs[0]));
  return shifts;
}

}  // namespace mezzo
