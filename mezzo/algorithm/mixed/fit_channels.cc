#include "mezzo/algorithm/mixed/fit_channels.h"

#include <algorithm>

#include "mezzo/algorithm/weights.h"
#include "mezzo/kernels/sgemm/sgemm.h"

namespace mezzo {
namespace {

constexpr float kPrior = 0.01f;  // of q C q, as if it had been fitted with scale 1

// C of one group, (depth, depth), and the means.
std::vector<float> Covariance(const Moments& m, size_t group, bool centered,
                              std::vector<float>& mean) {
  const int64_t d = m.depth;
  const auto n = static_cast<double>(std::max<int64_t>(m.columns, 1));
  std::vector<float> c(d * d);
  mean.assign(d, 0);
  if (centered)
    for (int64_t k = 0; k < d; ++k) mean[k] = static_cast<float>(m.totals[group][k] / n);
  for (int64_t i = 0; i < d; ++i)
    for (int64_t j = 0; j < d; ++j)
      c[i * d + j] = static_cast<float>(m.sums[group][i * d + j] / n) - mean[i] * mean[j];
  return c;
}

}  // namespace

ChannelFit FitChannels(const Node& node, const Tensor& weight, const Tensor& quantized,
                       const Moments& moments, bool shifted, const Threads& threads) {
  const WeightRows rows(node, weight);
  const int64_t d = rows.depth;
  const auto groups = static_cast<int64_t>(moments.sums.size());
  const int64_t per_group = groups ? rows.channels / groups : 0;
  ChannelFit fit{std::vector<float>(rows.channels, 1), std::vector<float>(rows.channels, 0)};
  for (int64_t g = 0; g < groups; ++g) {
    std::vector<float> mean, w(per_group * d), q(per_group * d), qc(per_group * d);
    const std::vector<float> c = Covariance(moments, g, shifted, mean);
    for (int64_t o = 0; o < per_group; ++o)
      for (int64_t k = 0; k < d; ++k) {
        const int64_t at = rows.At(g * per_group + o, k);
        w[o * d + k] = weight.data<float>()[at];
        q[o * d + k] = quantized.data<float>()[at];
      }
    const PackedB packed(c.data(), d, d, d, 1, threads);
    Sgemm(q.data(), d, per_group, packed, qc.data(), d, {}, threads);
    for (int64_t o = 0; o < per_group; ++o) {
      double wcq = 0, qcq = 0, w_mean = 0, q_mean = 0;
      for (int64_t k = 0; k < d; ++k) {
        const int64_t at = o * d + k;
        wcq += static_cast<double>(w[at]) * qc[at];
        qcq += static_cast<double>(q[at]) * qc[at];
        w_mean += static_cast<double>(w[at]) * mean[k];
        q_mean += static_cast<double>(q[at]) * mean[k];
      }
      float& scale = fit.scale[g * per_group + o];
      if (qcq > 0)
        scale =
            static_cast<float>(std::clamp((wcq + kPrior * qcq) / (qcq + kPrior * qcq), 0.5, 2.0));
      if (shifted) fit.shift[g * per_group + o] = static_cast<float>(w_mean - scale * q_mean);
    }
  }
  return fit;
}

}  // namespace mezzo
