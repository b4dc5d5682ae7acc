// vpdpbusd of 512 bits: a panel's sixteen rows are one vector. Codes as bytes without sign and
// their offset as in group_tile_avx2.h. A tile of 6 tokens and two panels keeps its 12 sums and 12
// results in registers; codes are unpacked for each tile.
#include <array>

#include "mezzo/kernels/group_gemm/group_lines.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = PackedGroups::kRows;
constexpr int kTokens = 6, kPanels = 2;

struct CodeTable {
  __m512i bytes;   // CodeBytes, four times
  int32_t factor;  // of activations' sums in what sums begin with: less the offset, or the zeros

  explicit CodeTable(const GroupFormat& f) {
    const CodeBytes c(f);
    bytes = _mm512_broadcast_i32x4(_mm_load_si128(reinterpret_cast<const __m128i*>(c.bytes)));
    factor = f.zero_points ? -1 : -c.offset;
  }
};

// Of a group's sixteen rows.
MEZZO_INLINE inline __m512 Scales(const PackedGroups& w, const uint8_t* group) {
  const __m256i bf16 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(group + w.scales_at()));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16));
}
MEZZO_INLINE inline __m512i Zeros(const PackedGroups& w, const uint8_t* group) {
  return _mm512_cvtepu8_epi32(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(group + w.zeros_at())));
}

MEZZO_INLINE inline void StoreRows(__m512 v, float* y, int64_t rows) {
  if (rows >= kRows)
    _mm512_storeu_ps(y, v);
  else
    _mm512_mask_storeu_ps(y, FirstLanesAvx512(rows), v);
}

// sum[t][v] += the products of four columns with w[v], codes of token t `pitch` bytes apart.
template <int T, int V>
MEZZO_INLINE inline void DotFour(__m512i (&sum)[T][V], const __m512i (&w)[V], const int8_t* codes,
                                 int64_t pitch) {
  Unrolled<T>([&](auto t) MEZZO_INLINE {
    const __m512i four = BroadcastAvx512(codes + t * pitch);
    Unrolled<V>([&](auto v) MEZZO_INLINE { DotAvx512(sum[t][v], w[v], four); });
  });
}

// V panels by T tokens.
template <bool kZeros, int V, int T>
void Tile(const GroupActivations& x, const GroupProduct& product, int64_t panel, int64_t token,
          const CodeTable& table) {
  const PackedGroups& w = *product.w;
  const int64_t group = w.group(), groups = w.groups(), pitch = groups * w.group_bytes();
  const __m512i values = table.bytes, nibbles = _mm512_set1_epi8(15);
  const uint8_t* at = w.Codes(panel, 0);
  const int8_t* x_codes = x.codes(token, 0);
  const int32_t* x_sums = x.sum(token, 0);
  const float* x_scales = x.scale(token, 0);
  __m512 y[T][V];
  Unrolled<T>([&](auto t) MEZZO_INLINE {
    Unrolled<V>([&](auto v) MEZZO_INLINE { y[t][v] = _mm512_setzero_ps(); });
  });
  for (int64_t g = 0; g < groups; ++g) {
    __m512i sum[T][V];
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      const __m512i start = _mm512_set1_epi32(x_sums[t] * table.factor);
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        sum[t][v] = kZeros ? _mm512_mullo_epi32(Zeros(w, at + v * pitch), start) : start;
      });
    });
    const int8_t* codes = x_codes;
    for (const uint8_t *k = at, *end = at + group * 8; k != end; k += 64, codes += 8) {
      __m512i packed[V], bytes[V];
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        const uint8_t* from = k + v * pitch;
        // Few tokens wait for memory.
        if (V == 1) _mm_prefetch(reinterpret_cast<const char*>(from + kFetchAhead), _MM_HINT_T0);
        packed[v] = _mm512_loadu_si512(from);
        bytes[v] = _mm512_shuffle_epi8(values, _mm512_and_si512(packed[v], nibbles));
      });
      DotFour(sum, bytes, codes, group);
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        bytes[v] =
            _mm512_shuffle_epi8(values, _mm512_and_si512(_mm512_srli_epi16(packed[v], 4), nibbles));
      });
      DotFour(sum, bytes, codes + 4, group);
    }
    __m512 scales[V];
    Unrolled<V>([&](auto v) MEZZO_INLINE { scales[v] = Scales(w, at + v * pitch); });
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      const __m512 x_scale = _mm512_set1_ps(x_scales[t]);
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        y[t][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[t][v]), _mm512_mul_ps(scales[v], x_scale),
                                  y[t][v]);
      });
    });
    at += w.group_bytes(), x_codes += x.tokens() * group;
    x_sums += x.tokens(), x_scales += x.tokens();
  }
  float* const to = product.y + token * product.y_stride + panel * kRows;
  Unrolled<V>([&](auto v) MEZZO_INLINE {
    const int64_t rows = w.rows() - (panel + v) * kRows;
    Unrolled<T>([&](auto t) MEZZO_INLINE {
      StoreRows(y[t][v], to + t * product.y_stride + v * kRows, rows);
    });
  });
}

template <bool kZeros, int V, int... i>
constexpr auto TilesOf(std::integer_sequence<int, i...>) {
  return std::array{Tile<kZeros, V, i + 1>...};
}

template <bool kZeros, int V>
void RunPanels(const GroupActivations& x, const GroupProduct& product, int64_t panel,
               int64_t token_begin, int64_t token_end, const CodeTable& table) {
  static constexpr auto kTiles = TilesOf<kZeros, V>(std::make_integer_sequence<int, kTokens>());
  const int64_t tokens = token_end - token_begin, tiles = (tokens + kTokens - 1) / kTokens;
  for (int64_t i = 0; i < tiles; ++i) {
    const int64_t first = tokens * i / tiles, last = tokens * (i + 1) / tiles;
    kTiles[last - first - 1](x, product, panel, token_begin + first, table);
  }
}

template <bool kZeros>
void Run(const GroupActivations& x, const GroupProduct& product, int64_t begin, int64_t end,
         int64_t token_begin, int64_t token_end) {
  const CodeTable table(product.w->format());
  int64_t p = begin;
  // Few tokens wait for memory, which gives one stretch faster than two.
  for (; token_end - token_begin > 4 && p + kPanels <= end; p += kPanels)
    RunPanels<kZeros, kPanels>(x, product, p, token_begin, token_end, table);
  for (; p < end; ++p) RunPanels<kZeros, 1>(x, product, p, token_begin, token_end, table);
}

}  // namespace

void GroupRunAvx512Vnni(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                        int64_t end, int64_t token_begin, int64_t token_end) {
  (product.w->format().zero_points ? Run<true> : Run<false>)(x, product, begin, end, token_begin,
                                                             token_end);
}

}  // namespace mezzo
