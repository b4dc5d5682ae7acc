#include "mezzo/algorithm/mixed/network.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/mixed/fit_channels.h"
#include "mezzo/algorithm/moments.h"
#include "mezzo/algorithm/narrow_weights.h"
#include "mezzo/algorithm/pack_weights.h"
#include "mezzo/algorithm/planned_codes.h"
#include "mezzo/algorithm/round_layers.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/import/onnx_writer.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

// Bits a weight that an ideal coder would need for these codes.
double Entropy(const std::vector<int8_t>& codes) {
  std::vector<double> count(256);
  for (const int8_t c : codes) ++count[static_cast<uint8_t>(c)];
  const auto all = static_cast<double>(codes.size());
  double bits = 0;
  for (const double n : count)
    if (n > 0) bits -= n / all * std::log2(n / all);
  return bits;
}

class OptionMaker {
 public:
  OptionMaker(const Int8Result& base, const NetworkOptionsTask& task)
      : base_(base), task_(task), int8_bytes_(static_cast<int64_t>(OnnxBytes(base.quantized))) {}

  NetworkLayer Make(const Node& node, const Moments& moments) const {
    const Tensor& weight = *base_.prepared.graph.Initializer(node.inputs[1]);
    const RoundingBasis basis(moments, task_.threads);
    NetworkLayer layer{node.name, node.op_type, node.inputs[0], base_.macs.at(node.name), {}, {},
                       {}};
    layer.ranked = {node.name, weight, {}, {}, {}};
    const auto channels = static_cast<double>(base_.plan.nodes.at(node.name).weight_scales.size());
    const double int8_bits = 8.0 + 32 * channels / static_cast<double>(weight.numel());
    for (const std::string& name : task_.formats) {
      NetworkOption option{name, {}, 32, 32, 0, {}};
      Tensor delta, shift;
      double entropy = 32;
      if (name == "float32") {
        option.plan.reason = "chosen: float32";
        option.bytes = FloatBytes(node.name);
        delta = Tensor::Zeros(DType::kFloat32, weight.shape());
      } else {
        const WeightOption wanted = ParseWeightOption(name);
        option.plan = base_.plan.nodes.at(node.name);
        option.plan.bias_shift.clear();
        option.bits = wanted.format->bits;
        if (wanted.format->narrow()) Narrow(node, weight, wanted, basis, option);
        option.stored_bits =
            int8_bits + 8 * static_cast<double>(option.bytes) / static_cast<double>(weight.numel());
        shift = Fit(node, weight, moments, option.plan, delta);
        entropy = Entropy(option.plan.weight_codes);
      }
      layer.ranked.bits.push_back(option.stored_bits);
      layer.ranked.entropies.push_back(entropy);
      layer.ranked.deltas.push_back(std::move(delta));
      layer.shifts.push_back(std::move(shift));
      layer.options.push_back(std::move(option));
    }
    return layer;
  }

 private:
  // What the file grows by if this layer alone is in float, with its neighbours' Q/DQ pairs.
  int64_t FloatBytes(const std::string& node) const {
    Plan plan = base_.plan;
    plan.nodes.at(node) = {};
    return static_cast<int64_t>(OnnxBytes(ApplyPlan(base_.prepared, plan))) - int8_bytes_;
  }

  void Narrow(const Node& node, const Tensor& weight, const WeightOption& wanted,
              const RoundingBasis& basis, NetworkOption& option) const {
    const int64_t group = GroupSize(node, weight, *wanted.format, wanted.group);
    SetWeights(option.plan, *wanted.format, group,
               QuantizeWeights(node, weight, *wanted.format, group, base_.plan.limit_pairs, &basis,
                               task_.threads));
    const PackedBytes bytes =
        BytesOfPacked(base_.quantized, base_.plan, node.name, *wanted.format, group);
    option.bytes = bytes.own;
    option.shared = bytes.shared;
  }

  // Fits the plan's scales and bias; leaves what is left of the weight's change in `delta`.
  Tensor Fit(const Node& node, const Tensor& weight, const Moments& moments, NodePlan& plan,
             Tensor& delta) const {
    if (plan.weight_codes.empty()) {
      const Tensor codes =
          PlannedCodes(node, weight, plan, plan.weight_scales, base_.plan.limit_pairs);
      plan.weight_codes.assign(codes.span<int8_t>().begin(), codes.span<int8_t>().end());
    }
    const auto dequantized = [&] {
      NarrowWeights q;
      q.scales = plan.weight_scales;
      q.codes = plan.weight_codes;
      return DequantizeWeights(node, weight, q);
    };
    const bool shifted = !node.Is("MatMul");
    const ChannelFit fit =
        FitChannels(node, weight, dequantized(), moments, shifted, task_.threads);
    for (size_t o = 0; o < fit.scale.size(); ++o) plan.weight_scales[o] *= fit.scale[o];
    delta = Difference(dequantized(), weight);
    if (!shifted) return {};
    plan.bias_shift = fit.shift;
    return Tensor::Vector(fit.shift);
  }

  const Int8Result& base_;
  const NetworkOptionsTask& task_;
  const int64_t int8_bytes_;
};

}  // namespace

WeightOption ParseWeightOption(const std::string& name) {
  const size_t slash = name.find('/');
  WeightOption option{FindWeightFormat(name.substr(0, slash))};
  const char* end = name.data() + name.size();
  bool good = option.format != nullptr;
  if (slash != std::string::npos) {
    const auto parsed = std::from_chars(name.data() + slash + 1, end, option.group);
    good = good && parsed.ec == std::errc() && parsed.ptr == end && option.group > 1;
  }
  Require(good, "format '", name, "': needs float32 or one of ", WeightFormatNames(),
          ", with /32 or the like for inputs that share a step");
  return option;
}

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
