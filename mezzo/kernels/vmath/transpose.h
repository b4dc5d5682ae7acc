#pragma once

#include <algorithm>
#include <cstdint>

#include "mezzo/base/simd.h"

namespace mezzo::vmath {

// to[j * to_stride + i] = from[i * from_stride + j] for i, j < 8.
inline void TransposeEight(const float* from, int64_t from_stride, float* to, int64_t to_stride) {
  __m256 pairs[8], quads[8];
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    const __m256 a = _mm256_loadu_ps(from + i * from_stride);
    const __m256 b = _mm256_loadu_ps(from + (i + 1) * from_stride);
    pairs[i] = _mm256_unpacklo_ps(a, b), pairs[i + 1] = _mm256_unpackhi_ps(a, b);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 8; i += 4)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      quads[i + 2 * h] = _mm256_shuffle_ps(pairs[i + h], pairs[i + h + 2], 0x44);
      quads[i + 2 * h + 1] = _mm256_shuffle_ps(pairs[i + h], pairs[i + h + 2], 0xee);
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(to + j * to_stride, _mm256_permute2f128_ps(quads[j], quads[j + 4], 0x20));
    _mm256_storeu_ps(to + (j + 4) * to_stride,
                     _mm256_permute2f128_ps(quads[j], quads[j + 4], 0x31));
  }
}

// The same for i < rows, j < columns.
inline void Transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns,
                      float* to, int64_t to_stride) {
  for (int64_t i = 0; i < rows; i += 8)
    for (int64_t j = 0; j < columns; j += 8) {
      if (i + 8 <= rows && j + 8 <= columns) {
        TransposeEight(from + i * from_stride + j, from_stride, to + j * to_stride + i, to_stride);
        continue;
      }
      for (int64_t r = i; r < std::min(i + 8, rows); ++r)
        for (int64_t c = j; c < std::min(j + 8, columns); ++c)
          to[c * to_stride + r] = from[r * from_stride + c];
    }
}

}  // namespace mezzo::vmath
