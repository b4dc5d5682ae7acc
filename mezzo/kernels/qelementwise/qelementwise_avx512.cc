// Quantizing floats, 64 at once. Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {

// round_half_even(x / scale) is what the product with 1 / scale rounds to as well, but where that
// is within a few units in the last place of a half; codes end long before 512, where these are
// 2^-14.
size_t QuantizeAvx512(const float* x, const QScale& s, uint8_t* y, size_t n) {
  const __m512 scale = _mm512_set1_ps(s.scale), inverse = _mm512_set1_ps(1 / s.scale);
  const bool normal = s.scale > 0x1p-100f && s.scale < 0x1p100f;
  const __m512 hi = _mm512_set1_ps(static_cast<float>(s.hi() - s.zero));
  const __m512 near_half = _mm512_set1_ps(0.5f - 0x1p-12f);
  const auto sixteen = [&](size_t i) MEZZO_INLINE {
    const __m512 v = _mm512_loadu_ps(x + i);
    __m512 q = _mm512_mul_ps(v, inverse);
    const __m512 whole = _mm512_roundscale_ps(q, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_abs_ps(_mm512_sub_ps(q, whole));
    if (!normal || _mm512_cmp_ps_mask(rest, near_half, _CMP_GT_OQ) != 0)
      q = _mm512_div_ps(v, scale);
    const __mmask16 number = _mm512_cmp_ps_mask(q, q, _CMP_ORD_Q);  // NaN: 0
    return _mm512_cvtps_epi32(_mm512_maskz_min_ps(number, q, hi));
  };
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    const __m512i codes = PackedAvx512(sixteen(i), sixteen(i + 16), sixteen(i + 32),
                                       sixteen(i + 48), s.zero, s.lo(), s.hi());
    _mm512_storeu_si512(y + i, InOrderAvx512(codes));
  }
  return i;
}

}  // namespace mezzo
