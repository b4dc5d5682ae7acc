// Quantizing and dequantizing, 64 at once. Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/qgemm_avx512.h"

namespace mezzo {

// round_half_even(x / scale) is what the product with 1 / scale rounds to as well, but where that
// is within a few units in the last place of a half; codes end long before 512, where these are
// 2^-14.
size_t QuantizeAvx512(const float* x, const QScale& s, uint8_t* y, size_t n) {
  const __m512 scale = _mm512_set1_ps(s.scale), inverse = _mm512_set1_ps(1 / s.scale);
  const __mmask16 odd = s.scale > 0x1p-100f && s.scale < 0x1p100f ? 0 : 0xffff;
  const __m512 hi = _mm512_set1_ps(static_cast<float>(s.hi() - s.zero));
  const __m512 near_half = _mm512_set1_ps(0.5f - 0x1p-12f);
  size_t i = 0;
  for (; i + 64 <= n; i += 64) {
    __m512 q[4];
    __mmask16 slow = odd;  // near a half, or NaN
    Unrolled<4>([&](auto k) MEZZO_INLINE {
      q[k] = _mm512_mul_ps(_mm512_loadu_ps(x + i + 16 * k), inverse);
      const __m512 rest = _mm512_reduce_ps(q[k], _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      slow |= _mm512_cmp_ps_mask(_mm512_abs_ps(rest), near_half, _CMP_NLE_UQ);
    });
    if (slow != 0)
      Unrolled<4>([&](auto k) MEZZO_INLINE {
        q[k] = _mm512_div_ps(_mm512_loadu_ps(x + i + 16 * k), scale);
        q[k] = _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(q[k], q[k], _CMP_ORD_Q), q[k]);  // NaN: 0
      });
    __m512i codes[4];
    Unrolled<4>([&](auto k)
                    MEZZO_INLINE { codes[k] = _mm512_cvtps_epi32(_mm512_min_ps(q[k], hi)); });
    _mm512_storeu_si512(y + i, InOrderAvx512(PackedAvx512(codes[0], codes[1], codes[2], codes[3],
                                                          s.zero, s.lo(), s.hi())));
  }
  return i;
}

size_t DequantizeAvx512(const uint8_t* x, const QScale& s, float* y, size_t n) {
  const __m512 scale = _mm512_set1_ps(s.scale);
  const __m512i zero = _mm512_set1_epi32(s.zero);
  size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i));
    const __m512i apart = _mm512_sub_epi32(
        s.is_signed ? _mm512_cvtepi8_epi32(codes) : _mm512_cvtepu8_epi32(codes), zero);
    _mm512_storeu_ps(y + i, _mm512_mul_ps(_mm512_cvtepi32_ps(apart), scale));
  }
  return i;
}

}  // namespace mezzo
