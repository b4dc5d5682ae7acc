#include <algorithm>
#include <cmath>

#include "mezzo/kernels/qelementwise/qelementwise.h"

namespace mezzo {

void QBinaryRef(const QBinaryArgs& s, const QBinaryParams& p) {
  for (size_t i = 0; i < s.n; ++i) {
    const int32_t a = s.a[i * s.a_step] - p.a_zero, b = s.b[i * s.b_step] - p.b_zero;
    float v = p.multiply ? p.a_ratio * static_cast<float>(a * b)
                         : p.a_ratio * static_cast<float>(a) + p.b_ratio * static_cast<float>(b);
    v = std::clamp(v, static_cast<float>(p.lo - p.y_zero), static_cast<float>(p.hi - p.y_zero));
    const int32_t code = static_cast<int32_t>(std::nearbyint(v)) + p.y_zero;
    static_cast<uint8_t*>(s.y)[i] = static_cast<uint8_t>(code);
  }
}

void QuantizeRef(const float* x, const QScale& s, uint8_t* y, size_t n) {
  const auto lo = static_cast<float>(s.lo()), hi = static_cast<float>(s.hi());
  for (size_t i = 0; i < n; ++i) {
    const float code = std::nearbyint(x[i] / s.scale) + static_cast<float>(s.zero);
    y[i] = static_cast<uint8_t>(static_cast<int32_t>(std::isnan(code) ? static_cast<float>(s.zero)
                                                                      : std::clamp(code, lo, hi)));
  }
}

void DequantizeRef(const uint8_t* x, const QScale& s, float* y, size_t n) {
  const QCodes codes{x, s.is_signed};
  for (size_t i = 0; i < n; ++i) y[i] = static_cast<float>(codes[i] - s.zero) * s.scale;
}

}  // namespace mezzo
