// What lines by vpdpbusd share: strips cut into tiles, and the output stage in AVX2.
#include "mezzo/kernels/qgemm/quads_vnni.h"

#include <cstring>

#include "mezzo/kernels/qelementwise/qelementwise_avx2.h"

namespace mezzo {
namespace {

// What follows the sums, made once a strip. kUsual: as in OutputAvx2.
template <bool kUsual>
struct Stage {
  explicit Stage(const QuadStrip& s) : out(*s.out), add(s.residual ? *s.residual : QResidual()) {}
  OutputAvx2<kUsual> out;
  AdditionAvx2 add;
};

MEZZO_INLINE inline __m256i Load(const int32_t* sums) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
}

// The first `cols` of a row's 16 codes.
MEZZO_INLINE inline __m128i LoadCodes(const uint8_t* from, size_t cols) {
  if (cols == kQPanel) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  uint8_t row[kQPanel] = {};
  std::memcpy(row, from, cols);
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(row));
}
MEZZO_INLINE inline void StoreCodes(__m128i codes, size_t cols, char* y) {
  if (cols == kQPanel) return _mm_storeu_si128(reinterpret_cast<__m128i*>(y), codes);
  uint8_t row[kQPanel];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(row), codes);
  std::memcpy(y, row, cols);
}

// Rows [first, first + rows) of the strip.
template <bool kUsual>
void StoreRowsOfCodes(const Stage<kUsual>& stage, const QuadStrip& s, const int32_t* sums,
                      size_t first, size_t rows) {
  const size_t n = s.channel, m = n + 8, end = first + rows;
  for (size_t r = first; r < end; r += 2, sums += 2 * kQPanel) {
    const bool two = r + 1 < end;
    const int32_t* next = two ? sums + kQPanel : sums;
    __m256i codes =
        stage.out.Codes(n, Load(sums), m, Load(sums + 8), n, Load(next), m, Load(next + 8));
    if (s.residual) {
      const __m128i other = LoadCodes(s.other + r * s.y_step, s.cols);
      codes = stage.add(
          codes,
          _mm256_set_m128i(two ? LoadCodes(s.other + (r + 1) * s.y_step, s.cols) : other, other));
    }
    StoreCodes(_mm256_castsi256_si128(codes), s.cols, s.y + r * s.y_step);
    if (two) StoreCodes(_mm256_extracti128_si256(codes, 1), s.cols, s.y + (r + 1) * s.y_step);
  }
}

template <bool kUsual>
void StoreRowsOfWords(const Stage<kUsual>& stage, const QuadStrip& s, const int32_t* sums,
                      size_t first, size_t rows) {
  for (size_t r = first; r < first + rows; ++r, sums += kQPanel) {
    alignas(32) __m256i words[2];
    for (size_t v = 0; v < 2; ++v)
      words[v] = stage.out.Words(s.channel + 8 * v, Load(sums + 8 * v));
    std::memcpy(s.y + r * s.y_step, words, 4 * s.cols);
  }
}

template <bool kUsual>
void RunTiles(const QuadStrip& s, size_t tile_rows, VnniSums sums) {
  const Stage<kUsual> stage(s);
  alignas(64) int32_t tile[kVnniMaxRows * kQPanel] = {};
  // of nearly equal height: a low tile would wait for its few sums
  const size_t tiles = (s.count + tile_rows - 1) / tile_rows;
  for (size_t i = 0; i < tiles; ++i) {
    const size_t first = s.count * i / tiles, rows = s.count * (i + 1) / tiles - first;
    if (s.ahead) FetchAhead(s, first + 2 * tile_rows, tile_rows);
    sums({s.rows + first, s.offsets, s.w, 2 * s.pairs + s.singles, s.start, tile}, rows);
    stage.out.codes() ? StoreRowsOfCodes(stage, s, tile, first, rows)
                      : StoreRowsOfWords(stage, s, tile, first, rows);
  }
}

}  // namespace

void RunVnniStrip(const QuadStrip& s, size_t tile_rows, VnniSums sums) {
  OutputAvx2<>::IsUsual(*s.out) ? RunTiles<true>(s, tile_rows, sums)
                                : RunTiles<false>(s, tile_rows, sums);
}

}  // namespace mezzo
