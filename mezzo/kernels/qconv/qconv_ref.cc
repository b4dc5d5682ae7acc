#include <vector>

#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {
namespace {

// The sum for one output element; `weights` are those of its channel.
int32_t SumRef(const QConvArgs& a, const std::vector<int32_t>& weights, size_t b, size_t i,
               size_t j, size_t first_c) {
  const QConvShape& s = a.shape;
  uint32_t acc = 0;  // unsigned: wraps
  for (size_t p = 0; p < s.kernel_h; ++p) {
    const size_t h = i * s.stride_h + p * s.dilation_h - s.pad_top;
    for (size_t q = 0; q < s.kernel_w; ++q) {
      const size_t w = j * s.stride_w + q * s.dilation_w - s.pad_left;
      if (h >= s.in_h || w >= s.in_w) continue;  // negative ones have wrapped
      const size_t x0 = ((b * s.in_h + h) * s.in_w + w) * s.in_c + first_c;
      const int32_t* tap = weights.data() + (p * s.kernel_w + q) * s.group_in();
      for (size_t c = 0; c < s.group_in(); ++c)
        acc += static_cast<uint32_t>((a.x[x0 + c] - a.x_zero) * tap[c]);
    }
  }
  return static_cast<int32_t>(acc);
}

}  // namespace

void QConvRef(const QConvArgs& a, const QConvWeights& w, const QOutput& out) {
  const QConvShape& s = a.shape;
  for (size_t n = 0; n < s.out_c; ++n) {
    const std::vector<int32_t> weights = w.Filter(n);
    const size_t first_c = n / s.group_out() * s.group_in();
    for (size_t b = 0; b < s.batch; ++b)
      for (size_t i = 0; i < s.out_h; ++i)
        for (size_t j = 0; j < s.out_w; ++j)
          StoreQOutputRef(out, n, SumRef(a, weights, b, i, j, first_c), a.y,
                          ((b * s.out_h + i) * s.out_w + j) * s.out_c + n);
  }
  const size_t all = s.batch * s.out_h * s.out_w * s.out_c;
  if (a.residual) QBinaryRef(ResidualOf(a, 0, all), a.residual->params);
}

QBinaryArgs ResidualOf(const QConvArgs& a, size_t begin, size_t end) {
  uint8_t* y = static_cast<uint8_t*>(a.y) + begin;
  const QCodes& b = a.residual->b;
  return {{y, a.residual->a_signed},
          {static_cast<const uint8_t*>(b.data) + begin, b.is_signed},
          1,
          1,
          y,
          end - begin};
}

}  // namespace mezzo
