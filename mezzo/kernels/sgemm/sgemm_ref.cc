#include <cmath>

#include "mezzo/kernels/sgemm/sgemm.h"

namespace mezzo {

void SgemmRef(const float* a, int64_t a_stride, int64_t m, int64_t n, int64_t k, const float* b,
              int64_t row_stride, int64_t column_stride, float* c, int64_t c_stride,
              GemmInit init) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      float sum = init.values ? init.values[i * init.row_stride + j] : 0.0f;
      for (int64_t t = 0; t < k; ++t)
        sum = std::fma(a[i * a_stride + t], b[t * row_stride + j * column_stride], sum);
      c[i * c_stride + j] = sum;
    }
}

}  // namespace mezzo
