#include <immintrin.h>

#include "mezzo/algorithm/llm/group_errors.h"

namespace mezzo {

void GroupErrorsAvx512(const GroupTable& t, const float* w, const float* weight, int64_t columns,
                       float* sum) {
  __m512 middle[15], sums = _mm512_setzero_ps();
#pragma GCC unroll 15
  for (int i = 0; i < 15; ++i) middle[i] = _mm512_load_ps(t.middle[i]);
  for (int64_t k = 0; k < columns; ++k) {
    const __m512 x = _mm512_loadu_ps(w + k * GroupTable::kRows);
    __m512 best = _mm512_load_ps(t.value[0]);
#pragma GCC unroll 15
    for (int i = 0; i < 15; ++i)
      best =
          _mm512_mask_load_ps(best, _mm512_cmp_ps_mask(x, middle[i], _CMP_GT_OQ), t.value[i + 1]);
    const __m512 e = _mm512_sub_ps(x, best);
    sums = _mm512_add_ps(sums, _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(weight[k]), e), e));
  }
  _mm512_storeu_ps(sum, sums);
}

}  // namespace mezzo
