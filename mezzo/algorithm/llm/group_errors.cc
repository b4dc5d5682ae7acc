#include "mezzo/algorithm/llm/group_errors.h"

#include "mezzo/kernels/vmath/vector.h"

namespace mezzo {

void GroupErrorsAvx2(const GroupTable& t, const float* w, const float* weight, int64_t columns,
                     float* sum) {
  using vmath::F8, vmath::Load;
  F8 sums[2] = {};
  for (int64_t k = 0; k < columns; ++k)
    for (int64_t h = 0; h < 16; h += 8) {
      const F8 x = Load(w + k * GroupTable::kRows + h);
      F8 best = Load(t.value[0] + h);
#pragma GCC unroll 15
      for (int i = 0; i < 15; ++i)
        best = x > Load(t.middle[i] + h) ? Load(t.value[i + 1] + h) : best;
      const F8 e = x - best;
      sums[h / 8] += weight[k] * e * e;
    }
  vmath::Store(sum, sums[0]);
  vmath::Store(sum + 8, sums[1]);
}

}  // namespace mezzo
