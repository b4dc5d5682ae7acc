#include "mezzo/algorithm/mixed/network.h"

#include <algorithm>
#include <cmath>

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

}  // namespace

std::vector<std::string> AllWeightFormats() { return {"int6", "int5", "int4", "int3", "int2"}; }

std::vector<NetworkLayer> MakeNetworkOptions(const Int8Result& base,
                                             const NetworkOptionsTask& task) {
  std::vector<NetworkLayer> layers;
  const Graph& graph = base.prepared.graph;
  for (const ComputeNode& c : FindComputeNodes(graph)) {
    const Node& node = graph.nodes[c.index];
    const NodePlan& plan = base.plan.nodes.at(node.name);
    if (!c.has_weight || !plan.quantized) continue;
    const Tensor& weight = *graph.Initializer(node.inputs[1]);
    NetworkLayer layer{node.name, node.op_type, node.inputs[0], base.macs.at(node.name), {}, {}};
    layer.ranked = {node.name, weight, {}, {}, {}};
    const auto add = [&](NetworkOption option, Tensor delta, double entropy) {
      layer.ranked.bits.push_back(option.bits);
      layer.ranked.entropies.push_back(entropy);
      layer.ranked.deltas.push_back(std::move(delta));
      layer.options.push_back(std::move(option));
    };
    const int64_t channels = static_cast<int64_t>(plan.weight_scales.size());
    const int64_t int8_bytes = weight.numel() + 4 * channels;
    for (const std::string& format : task.formats) {
      if (format == "float32") {
        NodePlan stays;
        stays.reason = "chosen: float32";
        add({format, stays, 32, 4 * weight.numel() - int8_bytes},
            Tensor::Zeros(DType::kFloat32, weight.shape()), 32);
        continue;
      }
      NodePlan p = plan;
      int bits = 8;
      if (format != "int8") {
        bits = format[3] - '0';
        const int qmax = (1 << (bits - 1)) - 1;
        const WeightRows rows(node, weight);
        p.weight_codes.assign(weight.numel(), 0);
        p.bias_shift.clear();
        for (int64_t o = 0; o < rows.channels; ++o) {
          float a = 0;
          for (int64_t k = 0; k < rows.depth; ++k)
            a = std::max(a, std::fabs(weight.data<float>()[rows.At(o, k)]));
          double best = INFINITY;
          float bs = 1;
          for (int t = 0; t < 24; ++t) {
            float s = std::max(a * (1 - t * 0.03f) / qmax, 1e-30f);
            double e = 0;
            for (int64_t k = 0; k < rows.depth; ++k) {
              float v = weight.data<float>()[rows.At(o, k)];
              float c = std::clamp(std::nearbyint(v / s), -(float)qmax, (float)qmax);
              e += (v - c * s) * (double)(v - c * s);
            }
            if (e < best) best = e, bs = s;
          }
          p.weight_scales[o] = bs;
          for (int64_t k = 0; k < rows.depth; ++k)
            p.weight_codes[rows.At(o, k)] =
                (int8_t)std::clamp(std::nearbyint(weight.data<float>()[rows.At(o, k)] / bs),
                                   -(float)qmax, (float)qmax);
        }
      }
      const Tensor codes = PlannedCodes(node, weight, p, p.weight_scales, base.plan.limit_pairs);
      const int64_t bytes = (weight.numel() * bits + 7) / 8 + 4 * channels;
      add({format, p, 8.0 * double(bytes) / double(weight.numel()), bytes - int8_bytes},
          Delta(node, weight, codes, p.weight_scales), Entropy(codes));
    }
    layers.push_back(std::move(layer));
  }
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
