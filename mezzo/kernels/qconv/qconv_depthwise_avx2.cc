#include <algorithm>
#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {
namespace {

constexpr int kPixels = 4;  // at once

inline __m256i Load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// Sixteen sums of each of some pixels.
struct Sums {
  __m256i at[kPixels][2];
};

// kUnits > 0 is the number of units where known.
template <int kUnits>
MEZZO_INLINE inline Sums SumsOf(const QDepthwiseRow& r, const uint8_t* const (&pixel)[kPixels]) {
  const size_t units = kUnits ? kUnits : r.units;
  Sums sums;
  Unrolled<kPixels>([&](auto p) MEZZO_INLINE {
    sums.at[p][0] = Load(r.start);
    sums.at[p][1] = Load(r.start + 8);
  });
#pragma GCC unroll 6
  for (size_t u = 0; u < units; ++u) {
    const __m256i w0 = Load(r.w + 64 * u), w1 = Load(r.w + 64 * u + 32);
    const int32_t offset = r.offsets[u];
    Unrolled<kPixels>([&](auto p) MEZZO_INLINE {
      MultiplyAddAvx2(sums.at[p][0], w0, Load(pixel[p] + offset));
      MultiplyAddAvx2(sums.at[p][1], w1, Load(pixel[p] + offset + 32));
    });
  }
  return sums;
}

template <bool kUsual>
MEZZO_INLINE inline void StoreCodes(const OutputAvx2<kUsual>& out, const QDepthwiseRow& r,
                                    const Sums& s, char* const (&y)[kPixels]) {
  Unrolled<kPixels / 2>([&](auto i) MEZZO_INLINE {
    constexpr int p = 2 * i;
    const size_t n = r.channel, m = n + 8;
    const __m256i codes =
        out.Codes(n, s.at[p][0], m, s.at[p][1], n, s.at[p + 1][0], m, s.at[p + 1][1]);
    if (r.channels == kQPanel) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y[p]), _mm256_castsi256_si128(codes));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(y[p + 1]), _mm256_extracti128_si256(codes, 1));
    } else {
      alignas(32) char bytes[32];
      _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), codes);
      std::memcpy(y[p], bytes, r.channels);
      std::memcpy(y[p + 1], bytes + 16, r.channels);
    }
  });
}

template <bool kUsual>
void StoreWords(const OutputAvx2<kUsual>& out, const QDepthwiseRow& r, const Sums& s,
                char* const (&y)[kPixels]) {
  for (int p = 0; p < kPixels; ++p) {
    alignas(32) int32_t words[16];
    for (int v = 0; v < 2; ++v)
      _mm256_store_si256(reinterpret_cast<__m256i*>(words) + v,
                         out.Words(r.channel + 8 * v, s.at[p][v]));
    std::memcpy(y[p], words, 4 * r.channels);
  }
}

template <bool kUsual, int kUnits>
void Row(const QDepthwiseRow& r) {
  const OutputAvx2<kUsual> out(*r.out);
  for (size_t i = 0; i < r.count; i += kPixels) {
    const uint8_t* x[kPixels];
    char* y[kPixels];
    Unrolled<kPixels>([&](auto p) MEZZO_INLINE {
      const size_t at = std::min(i + p, r.count - 1);  // the last one may be done again
      x[p] = r.x + at * r.step;
      y[p] = r.y + at * r.y_step;
    });
    const Sums sums = SumsOf<kUnits>(r, x);
    out.codes() ? StoreCodes(out, r, sums, y) : StoreWords(out, r, Sums(sums), y);
  }
}

void RunRow(const QDepthwiseRow& r) {
  if (r.out->bounded)
    r.units == 6 ? Row<true, 6>(r) : Row<true, 0>(r);
  else
    Row<false, 0>(r);
}

// Pixels [i, end) of the pairs; kInside: all codes of both are in the image, 16 channels of them.
template <bool kInside>
size_t MakePairs(const QUnitsOfRow& r, size_t i, size_t end) {
  const __m128i flip = _mm_set1_epi8(r.is_signed ? static_cast<char>(0x80) : 0);
  const __m128i zero = _mm_set1_epi8(static_cast<char>(r.zero));
  const auto codes = [&](size_t pixel) MEZZO_INLINE {
    if (!kInside && (!r.x || pixel >= r.pixels)) return zero;
    const uint8_t* from = r.x + pixel * r.pixel;
    if (kInside || r.channels == kQPanel)
      return _mm_xor_si128(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), flip);
    alignas(16) uint8_t some[16] = {};
    std::memcpy(some, from, r.channels);
    return _mm_xor_si128(_mm_load_si128(reinterpret_cast<const __m128i*>(some)), flip);
  };
  for (; i < end; ++i) {
    const size_t at = r.first + i * r.step;
    const __m128i a = codes(at), b = codes(at + r.distance);
    auto* to = reinterpret_cast<__m256i*>(r.to + 64 * i);
    _mm256_store_si256(to, _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)));
    _mm256_store_si256(to + 1, _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(a, b)));
  }
  return end;
}

void MakeRow(const QUnitsOfRow& r) {
  size_t i = 0;
  if (r.x && r.channels == kQPanel && r.pixels > r.distance) {
    // the padding on the left, and what lies inside
    const size_t before = r.first > r.pixels ? size_t{0} - r.first : 0;
    const size_t begin = std::min((before + r.step - 1) / r.step, r.count);
    const size_t last = r.pixels - r.distance - 1 - r.first;  // modulo 2^64
    const size_t inside =
        r.first > r.pixels || r.first + r.distance < r.pixels ? last / r.step + 1 : 0;
    i = MakePairs<false>(r, i, begin);
    i = MakePairs<true>(r, i, std::clamp(inside, begin, r.count));
  }
  MakePairs<false>(r, i, r.count);
}

}  // namespace

const DepthwiseLines kDepthwiseAvx2{2,       kQPanel, [](size_t c) { return c; },
                                    MakeRow, RunRow,  nullptr};

}  // namespace mezzo
