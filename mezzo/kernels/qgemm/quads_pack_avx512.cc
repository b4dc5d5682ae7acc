// Quads of codes whose columns lie side by side. Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/qgemm/qgemm_avx512.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {

bool QuadOfRowsAvx512(const QuadRowsToPack& r, int8_t* to, int8_t* rest) {
  const __mmask64 mask = FirstBytesAvx512(r.cols);
  const __m512i zero = _mm512_set1_epi8(static_cast<char>(r.zero));
  const __m512i flip = _mm512_set1_epi8(r.is_signed ? static_cast<char>(0x80) : 0);
  const __m512i most = _mm512_set1_epi8(127), least = _mm512_set1_epi8(static_cast<char>(128));
  __m512i taken[4], left[4];
  __mmask64 any = 0;
  Unrolled<4>([&](auto k) MEZZO_INLINE {
    __m512i v = zero;
    if (size_t{k} < r.rows) {
      const __m512i codes = _mm512_maskz_loadu_epi8(mask, r.w + k * r.row_stride);
      v = _mm512_mask_mov_epi8(zero, mask, _mm512_xor_si512(codes, flip));
    }
    const __m512i above = _mm512_subs_epu8(v, zero), below = _mm512_subs_epu8(zero, v);
    taken[k] = _mm512_sub_epi8(_mm512_min_epu8(above, most), _mm512_min_epu8(below, least));
    left[k] = _mm512_sub_epi8(_mm512_sub_epi8(v, zero), taken[k]);
    any |= _mm512_test_epi8_mask(left[k], left[k]);
  });
  const auto store = [&](const __m512i(&v)[4], int8_t* y) MEZZO_INLINE {
    __m512i quads[4];
    QuadsAvx512(PairsAvx512(v[0], v[1]), PairsAvx512(v[2], v[3]), quads);
    TransposeLanesAvx512(quads);
    for (size_t k = 0; 16 * k < r.cols; ++k) _mm512_storeu_si512(y + 64 * k, quads[k]);
  };
  store(taken, to);
  if (any) store(left, rest);
  return any != 0;
}

}  // namespace mezzo
