#include <immintrin.h>

#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {
namespace {

inline __m256i Load8(const uint8_t* p, bool is_signed) {
  const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
  return is_signed ? _mm256_cvtepi8_epi32(raw) : _mm256_cvtepu8_epi32(raw);
}

// Codes i..i+7 of an operand less its zero point.
struct Operand {
  Operand(QCodes codes, size_t step, int32_t zero)
      : data(static_cast<const uint8_t*>(codes.data)),
        is_signed(codes.is_signed),
        one(step == 0),
        zeros(_mm256_set1_epi32(zero)),
        same(step == 0 ? _mm256_set1_epi32(codes[0] - zero) : _mm256_setzero_si256()) {}
  __m256i operator()(size_t i) const {
    return one ? same : _mm256_sub_epi32(Load8(data + i, is_signed), zeros);
  }
  const uint8_t* data;
  bool is_signed, one;
  __m256i zeros, same;
};

template <bool kMultiply>
size_t Run(const QBinaryArgs& s, const QBinaryParams& p) {
  const Operand a(s.a, s.a_step, p.a_zero), b(s.b, s.b_step, p.b_zero);
  const __m256 ra = _mm256_set1_ps(p.a_ratio), rb = _mm256_set1_ps(p.b_ratio);
  const __m256 lo = _mm256_set1_ps(static_cast<float>(p.lo - p.y_zero));
  const __m256 hi = _mm256_set1_ps(static_cast<float>(p.hi - p.y_zero));
  const __m256i zero = _mm256_set1_epi32(p.y_zero);
  const auto eight = [&](size_t i) {
    const __m256i qa = a(i), qb = b(i);
    __m256 v;
    if (kMultiply)
      v = _mm256_mul_ps(ra, _mm256_cvtepi32_ps(_mm256_mullo_epi32(qa, qb)));
    else
      v = _mm256_add_ps(_mm256_mul_ps(ra, _mm256_cvtepi32_ps(qa)),
                        _mm256_mul_ps(rb, _mm256_cvtepi32_ps(qb)));
    v = _mm256_min_ps(_mm256_max_ps(v, lo), hi);
    return _mm256_add_epi32(_mm256_cvtps_epi32(v), zero);
  };
  size_t i = 0;
  for (; i + 16 <= s.n; i += 16)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<uint8_t*>(s.y) + i),
                     BytesAvx2(eight(i), eight(i + 8)));
  return i;
}

}  // namespace

size_t QBinaryAvx2(const QBinaryArgs& args, const QBinaryParams& params) {
  return params.multiply ? Run<true>(args, params) : Run<false>(args, params);
}

}  // namespace mezzo
