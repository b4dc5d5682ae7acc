// What follows the sums of a tile in 256-bit vectors, and how strips are cut into tiles: shared by
// the lines of AVX2, AVX-VNNI and sdot.
#pragma once

#include <algorithm>
#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/qelementwise/qelementwise_avx2.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {

// Sums of R rows and 8 * V columns.
template <int R, int V>
struct SumsAvx2 {
  __m256i at[R][V];
};

// What follows the sums, made once a strip.
template <bool kUsual, bool kAdds>
struct Stage {
  explicit Stage(const QuadStrip& s) : out(*s.out) {}
  OutputAvx2<kUsual> out;
};
template <bool kUsual>
struct Stage<kUsual, true> {
  explicit Stage(const QuadStrip& s) : out(*s.out), add(*s.residual) {}
  OutputAvx2<kUsual> out;
  AdditionAvx2 add;
};

// Adds the residual to codes of R rows, of which `count` exist, that begin `at` bytes behind y[0].
template <int R, int V, int kPacks>
MEZZO_INLINE inline void AddResidual(const AdditionAvx2& add, const QuadStrip& s, size_t at,
                                     size_t count, __m256i (&codes)[kPacks]) {
  const uint8_t* from = s.other + at;
  if constexpr (R % 2 == 0 && V == 2) {
    if (s.cols == kQPanel && count >= R) {
      Unrolled<kPacks>([&](auto i) MEZZO_INLINE {
        const auto row = [&](size_t r) MEZZO_INLINE {
          return reinterpret_cast<const __m128i*>(from + r * s.y_step);
        };
        codes[i] = add(codes[i], _mm256_loadu2_m128i(row(2 * i + 1), row(2 * i)));
      });
      return;
    }
  }
  alignas(32) uint8_t other[32 * kPacks];
  for (size_t r = 0; r < std::min<size_t>(R, count); ++r)
    std::memcpy(other + 8 * V * r, from + r * s.y_step, s.cols);
  Unrolled<kPacks>([&](auto i) MEZZO_INLINE {
    codes[i] = add(codes[i], _mm256_load_si256(reinterpret_cast<const __m256i*>(other) + i));
  });
}

// Writes the first `count` of R rows, `bytes` of each, `pitch` apart in `from`.
template <int R>
MEZZO_INLINE inline void StoreRows(const QuadStrip& s, const void* from, size_t pitch, size_t bytes,
                                   size_t count, char* y) {
  for (size_t r = 0; r < std::min<size_t>(R, count); ++r)
    std::memcpy(y + r * s.y_step, static_cast<const char*>(from) + r * pitch, bytes);
}

template <bool kUsual, bool kAdds, int R, int V>
MEZZO_INLINE inline void StoreCodes(const Stage<kUsual, kAdds>& stage, const QuadStrip& s,
                                    const SumsAvx2<R, V>& acc, size_t count, char* y) {
  constexpr int kPacks = (R * V + 3) / 4, kLast = R * V - 1;  // past the last, it is repeated
  __m256i codes[kPacks];
  Unrolled<kPacks>([&](auto i) MEZZO_INLINE {
    constexpr int a = 4 * i, b = std::min(a + 1, kLast), c = std::min(a + 2, kLast),
                  d = std::min(a + 3, kLast);
    const size_t n = s.channel;
    codes[i] =
        stage.out.Codes(n + a % V * 8, acc.at[a / V][a % V], n + b % V * 8, acc.at[b / V][b % V],
                        n + c % V * 8, acc.at[c / V][c % V], n + d % V * 8, acc.at[d / V][d % V]);
  });
  if constexpr (kAdds) AddResidual<R, V>(stage.add, s, static_cast<size_t>(y - s.y), count, codes);
  if constexpr (R % 2 == 0 && V == 2) {
    if (s.cols == kQPanel && count >= R) {
      Unrolled<R>([&](auto r) MEZZO_INLINE {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(y + r * s.y_step),
                         r % 2 ? _mm256_extracti128_si256(codes[r / 2], 1)
                               : _mm256_castsi256_si128(codes[r / 2]));
      });
      return;
    }
  }
  alignas(32) uint8_t rows[32 * kPacks];
  Unrolled<kPacks>([&](auto i) MEZZO_INLINE {
    _mm256_store_si256(reinterpret_cast<__m256i*>(rows) + i, codes[i]);
  });
  StoreRows<R>(s, rows, 8 * V, s.cols, count, y);
}

template <bool kUsual, bool kAdds, int R, int V>
MEZZO_INLINE inline void StoreWords(const Stage<kUsual, kAdds>& stage, const QuadStrip& s,
                                    const SumsAvx2<R, V>& acc, size_t count, char* y) {
  alignas(32) int32_t words[R][8 * V];
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      _mm256_store_si256(reinterpret_cast<__m256i*>(words[r]) + v,
                         stage.out.Words(s.channel + 8 * v, acc.at[r][v]));
    });
  });
  StoreRows<R>(s, words, sizeof(words[0]), 4 * s.cols, count, y);
}

// R rows from the first-th on, of which those below s.count are written.
template <class Lines, bool kUsual, bool kAdds, int R, int V>
MEZZO_INLINE inline void Tile(const Stage<kUsual, kAdds>& stage, const QuadStrip& s, size_t first) {
  const SumsAvx2<R, V> sums = Lines::template SumsOf<R, V>(s, first);
  const size_t count = s.count - first;
  char* y = s.y + first * s.y_step;
  stage.out.codes() ? StoreCodes<kUsual, kAdds, R, V>(stage, s, sums, count, y)
                    : StoreWords<kUsual, kAdds, R, V>(stage, s, sums, count, y);
}

template <class Lines, bool kUsual, bool kAdds, int V>
void Strip(const QuadStrip& s) {
  const Stage<kUsual, kAdds> stage(s);
  if (s.count == 1) return Tile<Lines, kUsual, kAdds, 1, V>(stage, s, 0);
  for (size_t r = 0; r < s.count; r += Lines::kRows) {
    if (s.ahead) FetchAhead(s, r + 2 * Lines::kRows, Lines::kRows);
    Tile<Lines, kUsual, kAdds, Lines::kRows, V>(stage, s, r);
  }
}

template <class Lines, bool kUsual, bool kAdds>
void StripOf(const QuadStrip& s) {
  s.cols <= 8 ? Strip<Lines, kUsual, kAdds, 1>(s) : Strip<Lines, kUsual, kAdds, 2>(s);
}

// `Lines` has
//   kRows                    of a tile
//   SumsOf<R, V>(s, first)   the SumsAvx2 of R rows from the first-th on
template <class Lines>
void RunStripAvx2(const QuadStrip& s) {
  const bool usual = s.out->bounded;
  if (s.residual)
    usual ? StripOf<Lines, true, true>(s) : StripOf<Lines, false, true>(s);
  else
    usual ? StripOf<Lines, true, false>(s) : StripOf<Lines, false, false>(s);
}

}  // namespace mezzo
