// What lines by vpdpbusd share: strips cut into tiles, and the output stage in AVX2.
#include "mezzo/kernels/qgemm/quads_vnni.h"

#include <cstring>

namespace mezzo {
namespace {

MEZZO_INLINE inline __m256i Load(const int32_t* sums) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(sums));
}

// The first `cols` of a row's 16 codes.
MEZZO_INLINE inline void StoreRow(__m128i codes, size_t cols, char* y) {
  if (cols == kQPanel) return _mm_storeu_si128(reinterpret_cast<__m128i*>(y), codes);
  uint8_t row[kQPanel];
  _mm_storeu_si128(reinterpret_cast<__m128i*>(row), codes);
  std::memcpy(y, row, cols);
}

void StoreCodes(const OutputAvx2& out, const QuadStrip& s, const int32_t* sums, size_t rows,
                char* y) {
  const size_t n = s.channel, m = n + 8;
  for (size_t r = 0; r < rows; r += 2, sums += 2 * kQPanel, y += 2 * s.y_step) {
    const bool two = r + 1 < rows;
    const int32_t* next = two ? sums + kQPanel : sums;
    const __m256i codes =
        out.Codes(n, Load(sums), m, Load(sums + 8), n, Load(next), m, Load(next + 8));
    StoreRow(_mm256_castsi256_si128(codes), s.cols, y);
    if (two) StoreRow(_mm256_extracti128_si256(codes, 1), s.cols, y + s.y_step);
  }
}

void StoreWords(const OutputAvx2& out, const QuadStrip& s, const int32_t* sums, size_t rows,
                char* y) {
  for (size_t r = 0; r < rows; ++r, sums += kQPanel, y += s.y_step) {
    alignas(32) __m256i words[2];
    for (size_t v = 0; v < 2; ++v) words[v] = out.Words(s.channel + 8 * v, Load(sums + 8 * v));
    std::memcpy(y, words, 4 * s.cols);
  }
}

}  // namespace

void RunVnniStrip(const QuadStrip& s, size_t tile_rows, VnniSums sums) {
  const OutputAvx2 out(*s.out);
  alignas(64) int32_t tile[kVnniMaxRows * kQPanel] = {};
  // of nearly equal height: a low tile would wait for its few sums
  const size_t tiles = (s.count + tile_rows - 1) / tile_rows;
  for (size_t i = 0; i < tiles; ++i) {
    const size_t first = s.count * i / tiles, rows = s.count * (i + 1) / tiles - first;
    sums({s.rows + first, s.offsets, s.w, 2 * s.pairs + s.singles, s.start, tile}, rows);
    char* y = s.y + first * s.y_step;
    out.codes() ? StoreCodes(out, s, tile, rows, y) : StoreWords(out, s, tile, rows, y);
  }
}

}  // namespace mezzo
