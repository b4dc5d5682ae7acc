#include "mezzo/algorithm/bias_correction.h"

#include <cmath>
#include <unordered_map>

#include "mezzo/algorithm/sites.h"
#include "mezzo/algorithm/weights.h"

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

std::vector<float> ShiftOf(const Node& node, const Tensor& weight, const NodePlan& plan,
                           bool limit_pairs, const ChannelSums& sums) {
  const WeightRows rows(node, weight);
  const int64_t groups = node.Is("Conv") ? node.Int("group", 1) : 1,
                per_group = rows.channels / groups;
  if (rows.inputs * groups != static_cast<int64_t>(sums.real.size()))
    return {};  // not laid out as expected
  const Tensor codes = WeightCodes(node, weight, plan.weight_scales, limit_pairs);
  const double to_mean = sums.unit / static_cast<double>(sums.samples);
  std::vector<float> shift(rows.channels);
  for (int64_t o = 0; o < rows.channels; ++o) {
    double sum = 0;
    for (int64_t k = 0; k < rows.depth; ++k) {
      const int64_t at = rows.At(o, k), channel = o / per_group * rows.inputs + k % rows.inputs;
      const double coded = static_cast<double>(plan.weight_scales[o]) * codes.data<int8_t>()[at];
      sum += static_cast<double>(sums.real[channel]) * weight.data<float>()[at] -
             static_cast<double>(sums.coded[channel]) * coded;
    }
    shift[o] = static_cast<float>(to_mean * sum);
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
        ShiftOf(*node, *graph.Initializer(node->inputs[1]), plan.nodes.at(node->name),
                plan.limit_pairs, empty.at(node->inputs[0]));
  return shifts;
}

}  // namespace mezzo
