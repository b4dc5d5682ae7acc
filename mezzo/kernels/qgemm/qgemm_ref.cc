#include <algorithm>
#include <cmath>
#include <vector>

#include "mezzo/kernels/qgemm/quads.h"

namespace mezzo {

void StoreQOutputRef(const QOutput& out, size_t n, int32_t acc, void* y, size_t i) {
  const int32_t sum =
      static_cast<int32_t>(static_cast<uint32_t>(acc) + static_cast<uint32_t>(out.bias[n]));
  if (out.kind == QOutput::Kind::kInt32) {
    static_cast<int32_t*>(y)[i] = sum;
    return;
  }
  float v = static_cast<float>(sum) * out.scale[n];
  if (out.has_offset) v += out.offset[n];
  if (out.kind == QOutput::Kind::kFloat) {
    static_cast<float*>(y)[i] = v;
    return;
  }
  // clamping first gives the same code and keeps the conversion in range
  v = std::clamp(v, static_cast<float>(out.lo - out.zero_point),
                 static_cast<float>(out.hi - out.zero_point));
  const int32_t code = static_cast<int32_t>(std::nearbyint(v)) + out.zero_point;
  static_cast<uint8_t*>(y)[i] = static_cast<uint8_t>(code);
}

namespace {

// Column n of the result.
void ColumnRef(const QGemmArgs& a, const std::vector<int32_t>& w, const QOutput& out, size_t n) {
  for (size_t m = 0; m < a.rows; ++m) {
    uint32_t acc = 0;  // unsigned: wraps
    for (size_t k = 0; k < w.size(); ++k)
      acc += static_cast<uint32_t>((a.x[m * a.x_stride + k] - a.x_zero) * w[k]);
    StoreQOutputRef(out, n, static_cast<int32_t>(acc), a.y, m * a.y_stride + n);
  }
}

}  // namespace

void QGemmRef(const QGemmArgs& a, const QWeights& w, const QOutput& out) {
  std::vector<int32_t> column(w.depth());
  for (size_t n = 0; n < w.cols(); ++n) {
    for (size_t k = 0; k < w.depth(); ++k) column[k] = w.At(k, n);
    ColumnRef(a, column, out, n);
  }
}

void QGemmRef(const QGemmArgs& a, const QQuads& w, const QOutput& out) {
  for (size_t n = 0; n < w.cols(); ++n) ColumnRef(a, w.Column(n), out, n);
}

}  // namespace mezzo
