// Two taps at a time: bytes of both are interleaved, widened, and vpmaddwd adds their products.
#include <immintrin.h>

#include <cstring>

#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {
namespace {

template <bool kSigned>
inline __m256i Widened(__m128i bytes) {
  return kSigned ? _mm256_cvtepi8_epi16(bytes) : _mm256_cvtepu8_epi16(bytes);
}

// Sums of channels c..c+15 over all taps. kPairs > 0 is the number of pairs where known.
template <bool kSigned, int kPairs>
inline void Sum(const uint8_t* const* taps, size_t c, size_t pairs, const int16_t* w, __m256i& acc0,
                __m256i& acc1) {
  if (kPairs) pairs = kPairs;
  acc0 = acc1 = _mm256_setzero_si256();
#pragma GCC unroll 5
  for (size_t p = 0; p < pairs; ++p) {
    const auto* wp = reinterpret_cast<const __m256i*>(w + 32 * p);
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(taps[2 * p] + c));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(taps[2 * p + 1] + c));
    const __m256i x0 = Widened<kSigned>(_mm_unpacklo_epi8(a, b));
    const __m256i x1 = Widened<kSigned>(_mm_unpackhi_epi8(a, b));
    acc0 = _mm256_add_epi32(acc0, _mm256_madd_epi16(x0, _mm256_loadu_si256(wp)));
    acc1 = _mm256_add_epi32(acc1, _mm256_madd_epi16(x1, _mm256_loadu_si256(wp + 1)));
  }
}

template <bool kSigned, int kPairs>
void RunPixel(const QDepthwisePixel& px) {
  const size_t pairs = px.w->tap_pairs();
  char* y = static_cast<char*>(px.y);
  for (size_t c = 0; c < px.channels; c += 16) {
    const size_t cols = std::min<size_t>(16, px.channels - c);
    __m256i acc0, acc1;
    if (cols == 16) {
      Sum<kSigned, kPairs>(px.taps, c, pairs, px.w->Pairs(c / 16, 0), acc0, acc1);
    } else {  // may not read past the last pixel: one pair at a time from a copy
      acc0 = acc1 = _mm256_setzero_si256();
      for (size_t p = 0; p < pairs; ++p) {
        uint8_t copy[2][16] = {};
        std::memcpy(copy[0], px.taps[2 * p] + c, cols);
        std::memcpy(copy[1], px.taps[2 * p + 1] + c, cols);
        const uint8_t* const two[] = {copy[0], copy[1]};
        __m256i s0, s1;
        Sum<kSigned, 1>(two, 0, 1, px.w->Pairs(c / 16, p), s0, s1);
        acc0 = _mm256_add_epi32(acc0, s0);
        acc1 = _mm256_add_epi32(acc1, s1);
      }
    }
    const auto* zero = reinterpret_cast<const __m256i*>(px.zero_sums + c);
    acc0 = _mm256_sub_epi32(acc0, _mm256_loadu_si256(zero));
    acc1 = _mm256_sub_epi32(acc1, _mm256_loadu_si256(zero + 1));
    StoreOutputAvx2(*px.out, c, acc0, acc1, cols, y + c * px.out->ElementSize());
  }
}

template <bool kSigned>
void RunPixelOf(const QDepthwisePixel& px) {
  switch (px.w->tap_pairs()) {
    case 5:
      return RunPixel<kSigned, 5>(px);  // 3 x 3
    case 13:
      return RunPixel<kSigned, 13>(px);  // 5 x 5
    default:
      return RunPixel<kSigned, 0>(px);
  }
}

}  // namespace

void RunDepthwisePixelAvx2(const QDepthwisePixel& px) {
  px.is_signed ? RunPixelOf<true>(px) : RunPixelOf<false>(px);
}

}  // namespace mezzo
