#include <algorithm>
#include <cmath>

#include "mezzo/kernels/qpool/qpool.h"

namespace mezzo {
namespace {

// Calls tap(index of element (b, h, w, 0) of x) for each tap inside the image; the number of taps
// that lie within the image or the stated padding.
template <class F>
size_t ForEachTap(const QPoolArgs& a, size_t b, size_t i, size_t j, F&& tap) {
  const QConvShape& s = a.shape;
  size_t padded = 0;
  for (size_t p = 0; p < s.kernel_h; ++p)
    for (size_t q = 0; q < s.kernel_w; ++q) {
      const size_t h = i * s.stride_h + p * s.dilation_h, w = j * s.stride_w + q * s.dilation_w;
      if (h >= s.in_h + s.pad_top + a.pad_bottom || w >= s.in_w + s.pad_left + a.pad_right)
        continue;
      ++padded;
      if (h - s.pad_top < s.in_h && w - s.pad_left < s.in_w)
        tap(((b * s.in_h + h - s.pad_top) * s.in_w + w - s.pad_left) * s.in_c);
    }
  return padded;
}

template <class F>
void ForEachOutput(const QConvShape& s, F&& body) {
  for (size_t b = 0; b < s.batch; ++b)
    for (size_t i = 0; i < s.out_h; ++i)
      for (size_t j = 0; j < s.out_w; ++j)
        for (size_t c = 0; c < s.in_c; ++c)
          body(b, i, j, c, ((b * s.out_h + i) * s.out_w + j) * s.in_c + c);
}

}  // namespace

void QAveragePoolRef(const QPoolArgs& a, const QAverageParams& p) {
  ForEachOutput(a.shape, [&](size_t b, size_t i, size_t j, size_t c, size_t to) {
    int32_t sum = 0;
    size_t inside = 0;
    const size_t padded = ForEachTap(a, b, i, j, [&](size_t x) {
      sum += a.x[x + c] - p.x_zero;
      ++inside;
    });
    const size_t count = std::max<size_t>(a.count_padding ? padded : inside, 1);
    float v = static_cast<float>(sum) * (p.ratio / static_cast<float>(count));
    v = std::clamp(v, static_cast<float>(p.lo - p.y_zero), static_cast<float>(p.hi - p.y_zero));
    static_cast<uint8_t*>(a.y)[to] =
        static_cast<uint8_t>(static_cast<int32_t>(std::nearbyint(v)) + p.y_zero);
  });
}

void QMaxPoolRef(const QPoolArgs& a) {
  ForEachOutput(a.shape, [&](size_t b, size_t i, size_t j, size_t c, size_t to) {
    int32_t best = a.x.is_signed ? -128 : 0;
    ForEachTap(a, b, i, j, [&](size_t x) { best = std::max(best, a.x[x + c]); });
    static_cast<uint8_t*>(a.y)[to] = static_cast<uint8_t>(best);
  });
}

}  // namespace mezzo
