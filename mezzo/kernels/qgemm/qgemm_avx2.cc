// AVX2: sixteen-bit products of pairs of rows (vpmaddwd), exact for every pair of codes. A tile of
// 6 rows x 16 columns keeps 12 sums in registers.
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

#include <algorithm>
#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/qgemm/qgemm_panel.h"

namespace mezzo {
namespace {

constexpr size_t kRows = 6;

inline __m256i LoadWeights(const int8_t* w) {
  return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(w)));
}
inline __m256i LoadWeights(const int16_t* w) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(w));
}

// acc[r][v] = the sums of row r and columns 8v..8v+7.
template <int R, int V, class W>
[[gnu::always_inline]] inline void Dot(const int16_t* x, size_t stride, size_t pairs, const W* w,
                                       __m256i (&acc)[R][V]) {
  const int16_t* row[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    row[r] = x + r * stride;
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) acc[r][v] = _mm256_setzero_si256();
  }
  for (size_t k = 0; k < pairs; ++k, w += 2 * kQPanel) {
    __m256i wv[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) wv[v] = LoadWeights(w + 16 * v);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      int32_t pair;
      std::memcpy(&pair, row[r] + 2 * k, sizeof(pair));
      const __m256i xv = _mm256_set1_epi32(pair);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) MultiplyAddAvx2(acc[r][v], xv, wv[v]);
    }
  }
}

// One row's sums to y.
template <int V>
MEZZO_INLINE inline void StoreRow(const OutputAvx2<>& out, const QTile& t, const __m256i* acc,
                                  size_t cols, char* y) {
  const auto* bias = reinterpret_cast<const __m256i*>(t.out->bias.data() + t.panel * kQPanel);
  __m256i sums[2];
  for (int v = 0; v < 2; ++v)
    sums[v] = v < V ? _mm256_add_epi32(acc[v], _mm256_loadu_si256(bias + v)) : sums[0];
  alignas(32) int32_t words[16];
  auto* to = reinterpret_cast<__m256i*>(words);
  if (out.codes()) {
    const size_t n = t.panel * kQPanel, m = n + 8;
    _mm256_store_si256(to, out.Codes(n, sums[0], m, sums[1], n, sums[0], m, sums[1]));
    cols == kQPanel ? std::memcpy(y, words, kQPanel) : std::memcpy(y, words, cols);
    return;
  }
  for (int v = 0; v < V; ++v)
    _mm256_store_si256(to + v, out.Words(t.panel * kQPanel + 8 * v, sums[v]));
  cols == kQPanel ? std::memcpy(y, words, 4 * kQPanel) : std::memcpy(y, words, 4 * cols);
}

template <int R, int V, class W>
void Tile(const QTile& t) {
  __m256i acc[R][V];
  Dot<R, V>(t.x, t.x_stride, t.w->pairs(), static_cast<const W*>(t.w->Panel(t.panel)), acc);
  const size_t cols = std::min(kQPanel, t.w->cols() - t.panel * kQPanel);
  const size_t element = t.out->ElementSize();
  const OutputAvx2<> out(*t.out);
  char* y = static_cast<char*>(t.y);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r, y += t.y_stride * element) StoreRow<V>(out, t, acc[r], cols, y);
}

template <int V, class W>
void TileOfRows(const QTile& t) {
  switch (t.rows) {
    case 1:
      return Tile<1, V, W>(t);
    case 2:
      return Tile<2, V, W>(t);
    case 3:
      return Tile<3, V, W>(t);
    case 4:
      return Tile<4, V, W>(t);
    case 5:
      return Tile<5, V, W>(t);
    default:
      return Tile<6, V, W>(t);
  }
}

void RunTile(const QTile& t) {
  const bool half = t.w->cols() - t.panel * kQPanel <= 8;
  if (t.w->wide())
    half ? TileOfRows<1, int16_t>(t) : TileOfRows<2, int16_t>(t);
  else
    half ? TileOfRows<1, int8_t>(t) : TileOfRows<2, int8_t>(t);
}

template <bool kSigned>
[[gnu::always_inline]] inline void WidenTo(const uint8_t* c, size_t n, __m256i zero, int16_t* out) {
  const auto sixteen = [&](size_t i) {
    const __m128i raw = _mm_loadu_si128(reinterpret_cast<const __m128i*>(c + i));
    const __m256i wide = kSigned ? _mm256_cvtepi8_epi16(raw) : _mm256_cvtepu8_epi16(raw);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), _mm256_sub_epi16(wide, zero));
  };
  const auto eight = [&](size_t i) {
    const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(c + i));
    const __m128i wide = kSigned ? _mm_cvtepi8_epi16(raw) : _mm_cvtepu8_epi16(raw);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm_sub_epi16(wide, _mm256_castsi256_si128(zero)));
  };
  size_t i = 0;
  for (; i + 16 <= n; i += 16) sixteen(i);
  if (i == n) return;
  // the last vector may overlap what is done already
  if (n >= 16) return sixteen(n - 16);
  if (n >= 8) {
    eight(0);
    return eight(n - 8);
  }
  const auto z = static_cast<int16_t>(_mm256_extract_epi16(zero, 0));
  for (; i < n; ++i)
    out[i] = static_cast<int16_t>((kSigned ? static_cast<int8_t>(c[i]) : c[i]) - z);
}

void Widen(const void* codes, bool is_signed, size_t n, int16_t zero, int16_t* out) {
  const auto* c = static_cast<const uint8_t*>(codes);
  const __m256i z = _mm256_set1_epi16(zero);
  is_signed ? WidenTo<true>(c, n, z, out) : WidenTo<false>(c, n, z, out);
}

}  // namespace

const QLines kQLinesAvx2{kRows, RunTile, Widen};

}  // namespace mezzo
