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

inline void StoreWideCodes(vmath::F8 v, int16_t* to) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), WideCodes8(v));
}
#if defined(__AVX512F__)
inline void StoreWideCodes(vmath::F16 v, int16_t* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
}
#endif

// codes[i] = x[i] * (1 / scale), rounded likewise.
inline void RoundWide(const float* x, int64_t n, float scale, int16_t* codes) {
  const float inverse = 1 / scale;
  int64_t k = 0;
  for (; k + 8 <= n; k += 8) StoreWideCodes(vmath::Load(x + k) * inverse, codes + k);
  if (k == n) return;
  const auto left = static_cast<size_t>(n - k);
  const __m128i last = WideCodes8(vmath::LoadPart(x + k, left) * inverse);
  std::memcpy(codes + k, &last, left * sizeof(int16_t));
}

}  // namespace mezzo
