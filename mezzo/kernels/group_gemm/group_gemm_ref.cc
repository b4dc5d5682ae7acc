#include <cmath>

#include "mezzo/kernels/group_gemm/group_gemm.h"

namespace mezzo {

void GroupGemmRef(const GroupActivations& x, const GroupProduct& product) {
  const PackedGroups& w = *product.w;
  const int64_t group = w.group();
  for (int64_t t = 0; t < x.tokens(); ++t)
    for (int64_t r = 0; r < w.rows(); ++r) {
      float y = 0;
      for (int64_t g = 0; g < w.groups(); ++g) {
        int32_t dot = 0;
        for (int64_t k = g * group; k < (g + 1) * group; ++k) {
          const int code = w.Code(r, k);
          const int value = w.format().zero_points
                                ? code - w.Zero(r, g)
                                : static_cast<int>(w.format().codes->values[code]);
          dot += x.codes(t, g)[k - g * group] * value;
        }
        y = std::fma(static_cast<float>(dot), w.Scale(r, g) * *x.scale(t, g), y);
      }
      product.y[t * product.y_stride + r] = y;
    }
}

}  // namespace mezzo
