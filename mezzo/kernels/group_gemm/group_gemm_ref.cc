#include <algorithm>
#include <cmath>

#include "mezzo/kernels/group_gemm/group_lines.h"

namespace mezzo {

void GroupRunRef(const GroupActivations& x, const GroupProduct& product, int64_t begin, int64_t end,
                 int64_t token_begin, int64_t token_end) {
  const PackedGroups& w = *product.w;
  const int64_t group = w.group();
  const int64_t first = begin * PackedGroups::kRows;
  const int64_t last = std::min(end * PackedGroups::kRows, w.rows());
  for (int64_t t = token_begin; t < token_end; ++t)
    for (int64_t r = first; r < last; ++r) {
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

void GroupGemmRef(const GroupActivations& x, const GroupProduct& product) {
  GroupRunRef(x, product, 0, product.w->panels(), 0, x.tokens());
}

}  // namespace mezzo
