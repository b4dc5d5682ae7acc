#include "mezzo/kernels/qconv/qconv_depthwise.h"

#include <algorithm>
#include <vector>

namespace mezzo {
namespace {

// The codes are multiplied as they are; since padding holds the zero point, what that adds is the
// same for every pixel of a channel.
std::vector<int32_t> ZeroSums(const QConvArgs& a, const QConvWeights& w) {
  std::vector<int32_t> sums((a.shape.in_c + 15) / 16 * 16 + 16, 0);
  for (size_t n = 0; n < a.shape.in_c; ++n) sums[n] = a.x_zero * w.sums()[n];
  return sums;
}

// Output row (b, i) of the whole batch.
void RunRow(const QConvArgs& a, const QConvWeights& w, const QOutput& out, size_t row,
            const uint8_t* padding, QDepthwisePixel& pixel, const uint8_t** taps) {
  const QConvShape& s = a.shape;
  const size_t b = row / s.out_h, i = row % s.out_h;
  const auto* image = static_cast<const uint8_t*>(a.x.data) + b * s.in_h * s.in_w * s.in_c;
  const size_t step = s.out_c * out.ElementSize();
  char* y = static_cast<char*>(a.y) + row * s.out_w * step;
  for (size_t j = 0; j < s.out_w; ++j, y += step) {
    size_t t = 0;
    for (size_t p = 0; p < s.kernel_h; ++p) {
      const size_t h = i * s.stride_h + p * s.dilation_h - s.pad_top;
      for (size_t q = 0; q < s.kernel_w; ++q, ++t) {
        const size_t x = j * s.stride_w + q * s.dilation_w - s.pad_left;
        taps[t] = h < s.in_h && x < s.in_w ? image + (h * s.in_w + x) * s.in_c : padding;
      }
    }
    pixel.y = y;
    RunDepthwisePixelAvx2(pixel);
  }
}

}  // namespace

void QConvDepthwise(const QConvArgs& a, const QConvWeights& w, const QOutput& out,
                    const Threads& threads) {
  const QConvShape& s = a.shape;
  const std::vector<int32_t> zero_sums = ZeroSums(a, w);
  const std::vector<uint8_t> padding(s.in_c, static_cast<uint8_t>(a.x_zero));
  const size_t rows = s.batch * s.out_h;
  const size_t work = s.out_w * s.out_c * s.taps();  // of a row
  threads.For(rows, std::max<size_t>((1 << 17) / std::max<size_t>(work, 1), 1),
              [&](size_t begin, size_t end) {
                // an odd last tap is paired with one whose weights are zero
                std::vector<const uint8_t*> taps(2 * w.tap_pairs(), padding.data());
                QDepthwisePixel pixel{taps.data(),      a.x.is_signed, s.in_c, &w,
                                      zero_sums.data(), &out,          nullptr};
                for (size_t row = begin; row < end; ++row)
                  RunRow(a, w, out, row, padding.data(), pixel, taps.data());
              });
}

}  // namespace mezzo
