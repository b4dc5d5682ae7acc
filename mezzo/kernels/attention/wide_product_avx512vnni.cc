// vpdpwssd of 512 bits: a panel's columns are one vector. A tile of 12 rows and two panels keeps
// its 24 sums in registers.
#include <algorithm>
#include <array>
#include <utility>

#include "mezzo/kernels/attention/wide_product.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {
namespace {

constexpr int64_t kWidth = WidePanels::kWidth;
constexpr int kRows = 12, kPanels = 2;

template <int V, int R>
void Tile(const WideRows& a, const WidePanels& b, int64_t row, int64_t panel, float* y,
          int64_t y_stride) {
  const int16_t* at = b.codes + panel * b.stride;
  // few registers for many rows: every third has one
  const int16_t* codes[(R + 2) / 3];
  __m512i sum[R][V];
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    if (r % 3 == 0) codes[r / 3] = a.codes + (row + r) * a.stride;
    Unrolled<V>([&](auto v) MEZZO_INLINE { sum[r][v] = _mm512_setzero_si512(); });
  });
  for (int64_t k = 0; k < 2 * b.pairs; k += 2, at += 2 * kWidth) {
    __m512i w[V];
    Unrolled<V>([&](auto v) MEZZO_INLINE { w[v] = _mm512_load_si512(at + v * b.stride); });
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      const __m512i x = BroadcastAvx512(codes[r / 3] + k + r % 3 * a.stride);
      Unrolled<V>([&](auto v) MEZZO_INLINE { DotPairsAvx512(sum[r][v], x, w[v]); });
    });
  }
  Unrolled<V>([&](auto v) MEZZO_INLINE {
    const int64_t first = (panel + v) * kWidth;
    const __m512 columns = b.scales ? _mm512_loadu_ps(b.scales + first) : _mm512_set1_ps(1);
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(a.scales[row + r]), columns);
      _mm512_storeu_ps(y + (row + r) * y_stride + first,
                       _mm512_mul_ps(_mm512_cvtepi32_ps(sum[r][v]), scale));
    });
  });
}

template <int V, int... i>
constexpr auto TilesOf(std::integer_sequence<int, i...>) {
  return std::array{Tile<V, i + 1>...};
}

template <int V>
void RunPanels(const WideRows& a, const WidePanels& b, int64_t panel, float* y, int64_t y_stride) {
  static constexpr auto kTiles = TilesOf<V>(std::make_integer_sequence<int, kRows>());
  const int64_t tiles = (a.count + kRows - 1) / kRows;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = a.count * i / tiles, last = a.count * (i + 1) / tiles;
    kTiles[last - first - 1](a, b, first, panel, y, y_stride);
  }
}

}  // namespace

void WideRunAvx512Vnni(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride) {
  int64_t p = 0;
  for (; p + kPanels <= b.panels; p += kPanels) RunPanels<kPanels>(a, b, p, y, y_stride);
  for (; p < b.panels; ++p) RunPanels<1>(a, b, p, y, y_stride);
}

}  // namespace mezzo
