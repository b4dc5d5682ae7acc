// What adds codes, in memory (QBinary) and in registers (output stages).
#pragma once

#include "mezzo/base/simd.h"
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {

// The low eight codes as int32.
MEZZO_INLINE inline __m256i WidenedAvx2(__m128i codes, bool is_signed) {
  return is_signed ? _mm256_cvtepi8_epi32(codes) : _mm256_cvtepu8_epi32(codes);
}

// Codes less their zero points to rounded values less y's, cut off above.
struct RoundedSumAvx2 {
  explicit RoundedSumAvx2(const QBinaryParams& p)
      : ra(_mm256_set1_ps(p.a_ratio)),
        rb(_mm256_set1_ps(p.b_ratio)),
        hi(_mm256_set1_ps(static_cast<float>(p.hi - p.y_zero))) {}
  MEZZO_INLINE __m256i operator()(__m256i a, __m256i b) const {
    const __m256 v = _mm256_add_ps(_mm256_mul_ps(ra, _mm256_cvtepi32_ps(a)),
                                   _mm256_mul_ps(rb, _mm256_cvtepi32_ps(b)));
    return _mm256_cvtps_epi32(_mm256_min_ps(v, hi));
  }
  __m256 ra, rb, hi;
};

class AdditionAvx2 {
 public:
  explicit AdditionAvx2(const QResidual& r)
      : sum_(r.params),
        za_(_mm256_set1_epi32(r.params.a_zero)),
        zb_(_mm256_set1_epi32(r.params.b_zero)),
        a_signed_(r.a_signed),
        b_signed_(r.b.is_signed),
        zero_(r.params.y_zero),
        lo_(r.params.lo),
        hi_(r.params.hi) {}

  // 32 codes of each.
  MEZZO_INLINE __m256i operator()(__m256i a, __m256i b) const {
    const __m128i al = _mm256_castsi256_si128(a), ah = _mm256_extracti128_si256(a, 1);
    const __m128i bl = _mm256_castsi256_si128(b), bh = _mm256_extracti128_si256(b, 1);
    return PackedAvx2(Eight(al, bl), Eight(_mm_srli_si128(al, 8), _mm_srli_si128(bl, 8)),
                      Eight(ah, bh), Eight(_mm_srli_si128(ah, 8), _mm_srli_si128(bh, 8)), zero_,
                      lo_, hi_, lo_ < 0);
  }

 private:
  MEZZO_INLINE __m256i Eight(__m128i a, __m128i b) const {
    return sum_(_mm256_sub_epi32(WidenedAvx2(a, a_signed_), za_),
                _mm256_sub_epi32(WidenedAvx2(b, b_signed_), zb_));
  }

  RoundedSumAvx2 sum_;
  __m256i za_, zb_;
  bool a_signed_, b_signed_;
  int32_t zero_, lo_, hi_;
};

}  // namespace mezzo
