// vpdpwssd of 512 bits: a panel's sixteen rows are one vector. A tile of 6 tokens and two panels
// keeps its 12 sums and 12 results in registers.
#include <array>

#include "mezzo/kernels/qgemm/qgemm_avx512.h"
#include "mezzo/kernels/row_gemm/row_lines.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = PackedRows::kRows, kGroup = PackedRows::kGroup;
constexpr int kTokens = 6, kPanels = 2;

// V panels by T tokens.
template <int V, int T>
void Tile(const WideCodes& x, const PackedRows& w, int64_t panel, int64_t token, float* y,
          int64_t y_stride) {
  const int64_t groups = w.groups(), pitch = groups * kGroup * kRows, row = groups * kGroup;
  const int8_t* at = w.Panel(panel);
  const int16_t* codes = x.Codes(token);
  const float* scales = x.Scales(token);
  __m512 s[T][V];
  Unrolled<T>([&](auto t) MEZZO_INLINE {
    Unrolled<V>([&](auto v) MEZZO_INLINE { s[t][v] = _mm512_setzero_ps(); });
  });
  for (int64_t g = 0; g < groups; ++g) {
    __m512i sum[T][V];
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE { sum[t][v] = _mm512_setzero_si512(); });
    });
    for (int64_t k = 0; k < kGroup; k += 2, at += 2 * kRows, codes += 2) {
      // Few tokens wait for memory.
      if (V == 1 && k % 4 == 0)
        _mm_prefetch(reinterpret_cast<const char*>(at) + kFetchAhead, _MM_HINT_T0);
      __m512i u[V];
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        u[v] = _mm512_cvtepi8_epi16(
            _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + v * pitch)));
      });
      Unrolled<T>([&](auto t) MEZZO_INLINE {
        const __m512i two = BroadcastAvx512(codes + t * row);
        Unrolled<V>([&](auto v) MEZZO_INLINE { DotPairsAvx512(sum[t][v], two, u[v]); });
      });
    }
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        s[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t][v]),
                                  _mm512_set1_ps(scales[t * groups + g]), s[t][v]);
      });
    });
  }
  Unrolled<V>([&](auto v) MEZZO_INLINE {
    const int64_t first = (panel + v) * kRows;
    const __mmask16 there = FirstLanesAvx512(w.rows() - first);
    const __m512 row_scales = _mm512_loadu_ps(w.scales() + first);
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      _mm512_mask_storeu_ps(y + (token + t) * y_stride + first, there,
                            _mm512_mul_ps(row_scales, s[t][v]));
    });
  });
}

template <int V, int... i>
constexpr auto TilesOf(std::integer_sequence<int, i...>) {
  return std::array{Tile<V, i + 1>...};
}

template <int V>
void RunPanels(const WideCodes& x, const PackedRows& w, int64_t panel, float* y, int64_t y_stride) {
  static constexpr auto kTiles = TilesOf<V>(std::make_integer_sequence<int, kTokens>());
  const int64_t tiles = (x.tokens + kTokens - 1) / kTokens;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = x.tokens * i / tiles, last = x.tokens * (i + 1) / tiles;
    kTiles[last - first - 1](x, w, panel, first, y, y_stride);
  }
}

}  // namespace

void RowRunAvx512Vnni(const WideCodes& x, const PackedRows& w, int64_t begin, int64_t end, float* y,
                      int64_t y_stride) {
  int64_t p = begin;
  for (; x.tokens > 4 && p + kPanels <= end; p += kPanels) RunPanels<kPanels>(x, w, p, y, y_stride);
  for (; p < end; ++p) RunPanels<1>(x, w, p, y, y_stride);
}

}  // namespace mezzo
