#include <immintrin.h>

#include <bit>

#include "mezzo/kernels/group_gemm/group_lines.h"

namespace mezzo {

void GroupRoundAvx512(const float* x, int64_t groups, int64_t n, const RoundedToken& to) {
  const auto there = [&](int64_t i) { return static_cast<__mmask16>(n - i < 16 ? 0xff : 0xffff); };
  for (int64_t g = 0; g < groups; ++g, x += n) {
    // Quotients as by the Divider of vmath/functions_lines.h. Where x is too small for that to be
    // exact, its code is 0.
    const float scale = to.scales[g * to.step];
    const __m512 divisor = _mm512_set1_ps(scale), inverse = _mm512_set1_ps(1 / scale);
    const bool usual = scale > 0x1p-100f && scale < 0x1p100f &&
                       (std::bit_cast<uint32_t>(scale) & 0x7fffff) != 0x7fffff;
    int8_t* const codes = to.codes + g * to.codes_step;
    __m512i sum = _mm512_setzero_si512();
    const auto round = [&](int64_t i, const auto& quotient) {
      const __m512i c = _mm512_cvtps_epi32(quotient(_mm512_maskz_loadu_ps(there(i), x + i)));
      sum = _mm512_add_epi32(sum, c);
      _mm_mask_storeu_epi8(codes + i, there(i), _mm512_cvtsepi32_epi8(c));
    };
    if (usual) {
      for (int64_t i = 0; i < n; i += 16)
        round(i, [&](__m512 v) {
          const __m512 q = _mm512_mul_ps(v, inverse);
          return _mm512_fmadd_ps(_mm512_fnmadd_ps(q, divisor, v), inverse, q);
        });
    } else {
      for (int64_t i = 0; i < n; i += 16)
        round(i, [&](__m512 v) { return _mm512_div_ps(v, divisor); });
    }
    to.sums[g * to.step] = _mm512_reduce_add_epi32(sum);
  }
}

}  // namespace mezzo
