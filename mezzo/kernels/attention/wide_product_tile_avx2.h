// Lines of wide_product.h in 256 bits. A tile of 6 rows and a panel keeps its 12 sums in registers.
#pragma once

#include <array>
#include <utility>

#include "mezzo/kernels/attention/wide_product.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {

// Dot(sum, x, w): for each int32 of sum, plus the two products of codes x and w.
template <void (*Dot)(__m256i&, __m256i, __m256i), int R>
void WideTileAvx2(const WideRows& a, const WidePanels& b, int64_t row, int64_t panel, float* y,
                  int64_t y_stride) {
  const int16_t* at = b.codes + panel * b.stride;
  const int16_t* codes = a.codes + row * a.stride;
  __m256i sum[R][2];
  Unrolled<R>([&](auto r) MEZZO_INLINE { sum[r][0] = sum[r][1] = _mm256_setzero_si256(); });
  for (int64_t k = 0; k < b.pairs; ++k, codes += 2, at += 2 * WidePanels::kWidth) {
    const auto* w = reinterpret_cast<const __m256i*>(at);
    const __m256i w0 = _mm256_load_si256(w), w1 = _mm256_load_si256(w + 1);
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      const __m256i x = BroadcastAvx2(reinterpret_cast<const uint8_t*>(codes + r * a.stride));
      Dot(sum[r][0], x, w0);
      Dot(sum[r][1], x, w1);
    });
  }
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    float* to = y + (row + r) * y_stride + panel * WidePanels::kWidth;
    for (int h = 0; h < 2; ++h) {
      __m256 scale = _mm256_set1_ps(a.scales[row + r]);
      if (b.scales)
        scale =
            _mm256_mul_ps(scale, _mm256_loadu_ps(b.scales + panel * WidePanels::kWidth + 8 * h));
      _mm256_storeu_ps(to + 8 * h, _mm256_mul_ps(_mm256_cvtepi32_ps(sum[r][h]), scale));
    }
  });
}

template <void (*Dot)(__m256i&, __m256i, __m256i), int... i>
void WideRunTilesAvx2(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride,
                      std::integer_sequence<int, i...>) {
  static constexpr std::array kTiles{WideTileAvx2<Dot, i + 1>...};
  constexpr auto kRows = static_cast<int64_t>(kTiles.size());
  for (int64_t p = 0; p < b.panels; ++p)
    for (int64_t r = 0; r < a.count; r += kRows)
      kTiles[std::min(kRows, a.count - r) - 1](a, b, r, p, y, y_stride);
}

template <void (*Dot)(__m256i&, __m256i, __m256i)>
void WideRunInAvx2(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride) {
  WideRunTilesAvx2<Dot>(a, b, y, y_stride, std::make_integer_sequence<int, 6>());
}

}  // namespace mezzo
