#include "mezzo/algorithm/mixed/activation_formats.h"

#include <algorithm>
#include <cmath>

#include "mezzo/format/fp8.h"

namespace mezzo {
namespace {

using Quantizer = std::function<void(std::span<const float>, float*)>;

Quantizer OnGrid(QParams p, int32_t qmin, int32_t qmax) {
  return [=](std::span<const float> a, float* q) {
    for (size_t i = 0; i < a.size(); ++i) {
      const float code = std::nearbyint(a[i] / p.scale) + static_cast<float>(p.zero_point);
      const auto inside =
          std::clamp<float>(code, static_cast<float>(qmin), static_cast<float>(qmax));
      q[i] = p.scale * (inside - static_cast<float>(p.zero_point));
    }
  };
}

// Over what the 8-bit grid covers.
Quantizer OverRange(float lo, float hi, int bits) {
  const auto qmax = static_cast<int32_t>((int64_t{1} << bits) - 1);
  const float scale = std::max((hi - lo) / static_cast<float>(qmax), FLT_MIN);
  return OnGrid({scale, -static_cast<int32_t>(std::nearbyint(lo / scale))}, 0, qmax);
}

}  // namespace

std::vector<std::string> ActivationFormatNames() { return {"8 bits", "4 bits", "16 bits", "FP8"}; }

ActivationCandidates CodedActivation(const std::string& value, const ActivationPlan& plan,
                                     IntFormat format) {
  const QParams p = plan.qparams;
  const float lo = Dequantize(p, format.qmin()), hi = Dequantize(p, format.qmax());
  const float scale = std::max({std::fabs(lo), std::fabs(hi), FLT_MIN}) / kE4M3FN.max;
  const Quantizer fp8 = [scale](std::span<const float> a, float* q) {
    for (size_t i = 0; i < a.size(); ++i) q[i] = scale * RoundToFp8(kE4M3FN, a[i] / scale);
  };
  return {
      value,
      {OnGrid(p, format.qmin(), format.qmax()), OverRange(lo, hi, 4), OverRange(lo, hi, 16), fp8}};
}

}  // namespace mezzo
