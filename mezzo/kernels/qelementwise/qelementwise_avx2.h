// QBinary's addition of codes that are in registers.
#pragma once

#include <immintrin.h>

#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {

class AdditionAvx2 {
 public:
  explicit AdditionAvx2(const QResidual& r)
      : ra_(_mm256_set1_ps(r.params.a_ratio)),
        rb_(_mm256_set1_ps(r.params.b_ratio)),
        hi_(_mm256_set1_ps(static_cast<float>(r.params.hi - r.params.y_zero))),
        za_(_mm256_set1_epi32(r.params.a_zero)),
        zb_(_mm256_set1_epi32(r.params.b_zero)),
        a_signed_(r.a_signed),
        b_signed_(r.b.is_signed),
        zero_(r.params.y_zero),
        lo_(r.params.lo) {}

  // 32 codes of each.
  MEZZO_INLINE __m256i operator()(__m256i a, __m256i b) const {
    const __m128i al = _mm256_castsi256_si128(a), ah = _mm256_extracti128_si256(a, 1);
    const __m128i bl = _mm256_castsi256_si128(b), bh = _mm256_extracti128_si256(b, 1);
    return PackedAvx2(Eight(al, bl), Eight(_mm_srli_si128(al, 8), _mm_srli_si128(bl, 8)),
                      Eight(ah, bh), Eight(_mm_srli_si128(ah, 8), _mm_srli_si128(bh, 8)), zero_,
                      lo_, lo_ < 0);
  }

 private:
  MEZZO_INLINE static __m256i Wide(__m128i codes, bool is_signed) {
    return is_signed ? _mm256_cvtepi8_epi32(codes) : _mm256_cvtepu8_epi32(codes);
  }
  MEZZO_INLINE __m256i Eight(__m128i a, __m128i b) const {
    const __m256i qa = _mm256_sub_epi32(Wide(a, a_signed_), za_);
    const __m256i qb = _mm256_sub_epi32(Wide(b, b_signed_), zb_);
    const __m256 v = _mm256_add_ps(_mm256_mul_ps(ra_, _mm256_cvtepi32_ps(qa)),
                                   _mm256_mul_ps(rb_, _mm256_cvtepi32_ps(qb)));
    return _mm256_cvtps_epi32(_mm256_min_ps(v, hi_));
  }

  __m256 ra_, rb_, hi_;
  __m256i za_, zb_;
  bool a_signed_, b_signed_;
  int32_t zero_, lo_;
};

}  // namespace mezzo
