// Floats as int16 codes times a scale.
#pragma once

#include <cfloat>
#include <cstdint>
#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {

// The scale that brings the largest of n magnitudes to code `top`; FLT_MIN for zeros, NaN if one
// is.
inline float WideScale(const float* x, int64_t n, float top) {
  const float scale = vmath::LargestMagnitude(x, n) / top;
  return scale < FLT_MIN ? FLT_MIN : scale;
}

// Rounded to nearest even and cut off at int16's ends; -32768 for NaN.
inline __m128i WideCodes8(vmath::F8 v) {
  const __m256i c = _mm256_cvtps_epi32(v);
  return _mm_packs_epi32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
}

// codes[i] = x[i] / scale, rounded likewise.
inline void RoundWide(const float* x, int64_t n, float scale, int16_t* codes) {
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + k), WideCodes8(vmath::Load(x + k) / scale));
  const auto left = static_cast<size_t>(n - k);
  const __m128i last = WideCodes8(vmath::LoadPart(x + k, left) / scale);
  std::memcpy(codes + k, &last, left * sizeof(int16_t));
}

}  // namespace mezzo
