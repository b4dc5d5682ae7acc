// What transformers do to rows of numbers between their products: one definition for operators and
// for the decoder, so that both give the same bits.
#pragma once

#include <cmath>

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {

// y = x / sqrt(mean(x^2) + epsilon) * scale; y may be x, scale null for ones.
inline void RmsNormRow(const float* x, const float* scale, size_t n, float epsilon, float* y) {
  const double mean = vmath::SquaresOf(x, n) / static_cast<double>(n);
  const auto factor = static_cast<float>(1.0 / std::sqrt(mean + epsilon));
  vmath::Normalize(x, 0, factor, scale, nullptr, y, n);
}

// (a, b) to (cos a - sin b, sin a + cos b) for the two halves of x; x may be y.
inline void RotateHalves(const float* x, const float* cos, const float* sin, size_t half,
                         float* y) {
  using vmath::Load, vmath::Store;
  size_t i = 0;
  for (; i + 8 <= half; i += 8) {
    const vmath::F8 a = Load(x + i), b = Load(x + half + i), c = Load(cos + i), s = Load(sin + i);
    Store(y + i, c * a - s * b);
    Store(y + half + i, s * a + c * b);
  }
  for (; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    y[i] = cos[i] * a - sin[i] * b;
    y[half + i] = sin[i] * a + cos[i] * b;
  }
}

}  // namespace mezzo
