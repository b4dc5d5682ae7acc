#include "mezzo/algorithm/mixed/network.h"

#include <algorithm>
#include <cmath>

#include "mezzo/algorithm/mixed/fit_channels.h"
#include "mezzo/algorithm/moments.h"
#include "mezzo/algorithm/planned_codes.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/algorithm/weights.h"

namespace mezzo {
namespace {

// code * scale by channel, less the weight.
Tensor Delta(const Node& node, const Tensor& weight, const Tensor& codes,
             const std::vector<float>& scales) {
  const WeightRows rows(node, weight);
  Tensor d(DType::kFloat32, weight.shape());
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k) {
      const int64_t at = rows.At(o, k);
      d.data<float>()[at] =
          scales[o] * static_cast<float>(codes.data<int8_t>()[at]) - weight.data<float>()[at];
    }
  return d;
}

// Bits a weight that an ideal coder would need for these codes.
double Entropy(const Tensor& codes) {
  std::vector<double> count(256);
  for (const int8_t c : codes.span<int8_t>()) ++count[static_cast<uint8_t>(c)];
  double bits = 0;
  for (const double n : count)
    if (n > 0) bits -= n / double(codes.numel()) * std::log2(n / double(codes.numel()));
  return bits;
}

// The plan of a weight in `bits` bits (to be replaced).
NodePlan NarrowPlan(const Node& node, const Tensor& weight, const NodePlan& base, int bits) {
  NodePlan p = base;
  const int qmax = (1 << (bits - 1)) - 1;
  const WeightRows rows(node, weight);
  const float* w = weight.data<float>();
  p.weight_codes.assign(weight.numel(), 0);
  for (int64_t o = 0; o < rows.channels; ++o) {
    float a = 0, bs = 1;
    for (int64_t k = 0; k < rows.depth; ++k) a = std::max(a, std::fabs(w[rows.At(o, k)]));
    const auto code = [&](int64_t k, float s) {
      return std::clamp(std::nearbyint(w[rows.At(o, k)] / s), -(float)qmax, (float)qmax);
    };
    double best = INFINITY;
    for (int t = 0; t < 24; ++t) {
      const float s = std::max(a * (1 - t * 0.03f) / qmax, 1e-30f);
      double e = 0;
      for (int64_t k = 0; k < rows.depth; ++k) {
        const double d = w[rows.At(o, k)] - code(k, s) * s;
        e += d * d;
      }
      if (e < best) best = e, bs = s;
    }
    p.weight_scales[o] = bs;
    for (int64_t k = 0; k < rows.depth; ++k)
      p.weight_codes[rows.At(o, k)] = static_cast<int8_t>(code(k, bs));
  }
  return p;
}

class OptionMaker {
 public:
  OptionMaker(const Int8Result& base, const NetworkOptionsTask& task) : base_(base), task_(task) {}

  NetworkLayer Make(const Node& node, const Moments& moments) const {
    const NodePlan& plan = base_.plan.nodes.at(node.name);
    const Tensor& weight = *base_.prepared.graph.Initializer(node.inputs[1]);
    NetworkLayer layer{node.name, node.op_type, node.inputs[0], base_.macs.at(node.name), {}, {},
                       {}};
    layer.ranked = {node.name, weight, {}, {}, {}};
    const auto channels = static_cast<int64_t>(plan.weight_scales.size());
    const int64_t int8_bytes = weight.numel() + 4 * channels;
    for (const std::string& format : task_.formats) {
      NetworkOption option{format, {}, 32, 4 * weight.numel() - int8_bytes};
      Tensor delta = Tensor::Zeros(DType::kFloat32, weight.shape()), shift;
      double entropy = 32;
      if (format == "float32") {
        option.plan.reason = "chosen: float32";
      } else {
        const int bits = format == "int8" ? 8 : format[3] - '0';
        option.plan = bits == 8 ? plan : NarrowPlan(node, weight, plan, bits);
        option.plan.bias_shift.clear();
        const Tensor codes = PlannedCodes(node, weight, option.plan, option.plan.weight_scales,
                                          base_.plan.limit_pairs);
        option.bytes = (weight.numel() * bits + 7) / 8 + 4 * channels - int8_bytes;
        option.bits = 8.0 * static_cast<double>(option.bytes + int8_bytes) /
                      static_cast<double>(weight.numel());
        entropy = Entropy(codes);
        shift = Fit(node, weight, codes, moments, option.plan, delta);
      }
      layer.ranked.bits.push_back(option.bits);
      layer.ranked.entropies.push_back(entropy);
      layer.ranked.deltas.push_back(std::move(delta));
      layer.shifts.push_back(std::move(shift));
      layer.options.push_back(std::move(option));
    }
    return layer;
  }

 private:
  // Fits the plan's scales and bias; leaves what is left of the weight's change in `delta`.
  Tensor Fit(const Node& node, const Tensor& weight, const Tensor& codes, const Moments& moments,
             NodePlan& plan, Tensor& delta) const {
    const bool shifted = !node.Is("MatMul");
    delta = Delta(node, weight, codes, plan.weight_scales);
    Tensor quantized = delta.Clone();
    for (int64_t i = 0; i < weight.numel(); ++i)
      quantized.data<float>()[i] += weight.data<float>()[i];
    const ChannelFit fit = FitChannels(node, weight, quantized, moments, shifted, task_.threads);
    for (size_t o = 0; o < fit.scale.size(); ++o) plan.weight_scales[o] *= fit.scale[o];
    delta = Delta(node, weight, codes, plan.weight_scales);
    if (!shifted) return {};
    plan.bias_shift = fit.shift;
    return Tensor::Vector(fit.shift);
  }

  const Int8Result& base_;
  const NetworkOptionsTask& task_;
};

}  // namespace

std::vector<std::string> AllWeightFormats() { return {"int6", "int5", "int4", "int3", "int2"}; }

std::vector<NetworkLayer> MakeNetworkOptions(const Int8Result& base,
                                             const NetworkOptionsTask& task) {
  const Graph& graph = base.prepared.graph;
  std::vector<std::string> names;
  for (const ComputeNode& c : FindComputeNodes(graph))
    if (const std::string& name = graph.nodes[c.index].name;
        c.has_weight && base.plan.nodes.at(name).quantized)
      names.push_back(name);
  const OptionMaker maker(base, task);
  std::vector<NetworkLayer> layers;
  CollectMoments(graph, names, task.sample, task.count, task.moment_bytes, task.threads,
                 [&](const Node& node, const Moments& moments) {
                   layers.push_back(maker.Make(node, moments));
                   if (task.progress) task.progress(layers.size(), names.size());
                 });
  return layers;
}

Plan WithOptions(const Plan& base, const std::vector<NetworkLayer>& layers,
                 const std::vector<size_t>& options) {
  Plan plan = base;
  for (size_t l = 0; l < layers.size(); ++l)
    plan.nodes[layers[l].node] = layers[l].options[options[l]].plan;
  return plan;
}

}  // namespace mezzo
