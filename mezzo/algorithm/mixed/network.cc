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
#include "mezzo/algorithm/recovery/network_paths.h"
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

// The options of one layer.
class OptionMaker {
 public:
  OptionMaker(const Int8Result& base, int64_t int8_bytes, const NetworkOptionsTask& task,
              const Node& node, const Moments& moments)
      : base_(base),
        int8_bytes_(int8_bytes),
        task_(task),
        node_(node),
        moments_(moments),
        weight_(*base.prepared.graph.Initializer(node.inputs[1])),
        basis_(moments, task.threads),
        layer_{node.name, node.op_type, node.inputs[0], base.macs.at(node.name), {}, {}, {}} {
    layer_.ranked = {node.name, weight_, {}, {}, {}};
  }

  NetworkLayer Make() {
    int64_t path_bytes = 0;
    if (!task_.ranks.empty() && TakesPath(node_)) path_bytes = PathBytes();
    for (const std::string& name : task_.formats) {
      if (name == "float32") {
        AddFloat();
        continue;
      }
      const WeightOption wanted = ParseWeightOption(name);
      NetworkOption option{name, base_.plan.nodes.at(node_.name), wanted.format->bits, 0, 0, {}};
      option.plan.bias_shift.clear();
      if (wanted.format->narrow()) Narrow(wanted, option);
      AddFitted(option);
      if (wanted.format->narrow() && !task_.ranks.empty()) AddWithPaths(option, path_bytes);
    }
    return std::move(layer_);
  }

 private:
  void Add(NetworkOption option, Tensor delta, Tensor shift, double entropy) {
    layer_.ranked.bits.push_back(option.stored_bits);
    layer_.ranked.entropies.push_back(entropy);
    layer_.ranked.deltas.push_back(std::move(delta));
    layer_.shifts.push_back(std::move(shift));
    layer_.options.push_back(std::move(option));
  }

  void AddFloat() {
    NetworkOption option{"float32", {}, 32, 32, 0, {}};
    option.plan.reason = "chosen: float32";
    option.bytes = BytesWith({});
    Add(std::move(option), Tensor::Zeros(DType::kFloat32, weight_.shape()), {}, 32);
  }

  void AddFitted(NetworkOption option) {
    const auto n = static_cast<double>(weight_.numel());
    option.stored_bits = 8 + 32 * static_cast<double>(option.plan.weight_scales.size()) / n +
                         8 * static_cast<double>(option.bytes) / n;
    Tensor delta;
    Tensor shift = Fit(option.plan, delta);
    const double entropy = Entropy(option.plan.weight_codes);
    Add(std::move(option), std::move(delta), std::move(shift), entropy);
  }

  // `coded` with a path of each rank.
  void AddWithPaths(const NetworkOption& coded, int64_t path_bytes) {
    LowRank widest;
    if (TakesPath(node_))
      widest = FitPath(node_, Difference(weight_, Dequantized(coded.plan)), basis_,
                       task_.ranks.back(), task_.threads);
    const WeightRows rows(node_, weight_);
    const int64_t lengths = rows.channels + rows.depth;  // of a column of B and a row of A
    for (const int64_t asked : task_.ranks) {
      NetworkOption option = coded;
      option.name += Cat("+r", asked);
      option.available = TakesPath(node_);
      if (option.available) {
        const int64_t rank = std::min(asked, widest.rank());
        option.plan.path = Truncated(widest, rank);
        option.bytes += path_bytes - 2 * (widest.rank() - rank) * lengths;  // bfloat16
        option.path_macs = layer_.macs / weight_.numel() * rank * lengths;
      }
      AddFitted(std::move(option));
    }
  }

  // What the file grows by if this layer alone has another plan, weights in int8 or float, with
  // what that does to its neighbours' Q/DQ pairs.
  int64_t BytesWith(const NodePlan& layer) const {
    Plan plan = base_.plan;
    plan.nodes.at(node_.name) = layer;
    return static_cast<int64_t>(OnnxBytes(ApplyPlan(base_.prepared, plan))) - int8_bytes_;
  }

  // Of a path of the highest rank.
  int64_t PathBytes() const {
    const WeightRows rows(node_, weight_);
    const int64_t rank = std::min({task_.ranks.back(), rows.channels, rows.depth});
    NodePlan with_path = base_.plan.nodes.at(node_.name);
    with_path.path = {Tensor::Zeros(DType::kFloat32, {rank, rows.depth}),
                      Tensor::Zeros(DType::kFloat32, {rows.channels, rank})};
    return BytesWith(with_path);
  }

  void Narrow(const WeightOption& wanted, NetworkOption& option) const {
    const int64_t group = GroupSize(node_, weight_, *wanted.format, wanted.group);
    SetWeights(option.plan, *wanted.format, group,
               QuantizeWeights(node_, weight_, *wanted.format, group, base_.plan.limit_pairs,
                               &basis_, task_.threads));
    const PackedBytes bytes =
        BytesOfPacked(base_.quantized, base_.plan, node_.name, *wanted.format, group);
    option.bytes = bytes.own;
    option.shared = bytes.shared;
  }

  Tensor Dequantized(const NodePlan& plan) const {
    NarrowWeights q;
    q.scales = plan.weight_scales;
    q.codes = plan.weight_codes;
    return DequantizeWeights(node_, weight_, q);
  }

  // Fits the plan's scales and bias to what its path leaves of the weight; what is left of the
  // weight's change comes into `delta`.
  Tensor Fit(NodePlan& plan, Tensor& delta) const {
    if (plan.weight_codes.empty()) {
      const Tensor codes =
          PlannedCodes(node_, weight_, plan, plan.weight_scales, base_.plan.limit_pairs);
      plan.weight_codes.assign(codes.span<int8_t>().begin(), codes.span<int8_t>().end());
    }
    const LowRank& path = plan.path;
    const Tensor target =
        path.a.defined() ? Difference(weight_, PathProduct(node_, weight_, path, task_.threads))
                         : weight_;
    const bool shifted = !node_.Is("MatMul");
    const ChannelFit fit =
        FitChannels(node_, target, Dequantized(plan), moments_, shifted, task_.threads);
    for (size_t o = 0; o < fit.scale.size(); ++o) plan.weight_scales[o] *= fit.scale[o];
    delta = Difference(Dequantized(plan), target);
    if (!shifted) return {};
    plan.bias_shift = fit.shift;
    return Tensor::Vector(fit.shift);
  }

  const Int8Result& base_;
  const int64_t int8_bytes_;
  const NetworkOptionsTask& task_;
  const Node& node_;
  const Moments& moments_;
  const Tensor weight_;
  const RoundingBasis basis_;
  NetworkLayer layer_;
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
  const auto int8_bytes = static_cast<int64_t>(OnnxBytes(base.quantized));
  std::vector<NetworkLayer> layers;
  CollectMoments(graph, names, task.sample, task.count, task.moment_bytes, task.threads,
                 [&](const Node& node, const Moments& moments) {
                   layers.push_back(OptionMaker(base, int8_bytes, task, node, moments).Make());
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
