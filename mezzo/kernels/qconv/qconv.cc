// Convolution as a matrix product whose rows are read where they lie (implicit GEMM): quads of
// weights know where from a pixel's first tap their codes are.
#include "mezzo/kernels/qconv/qconv.h"

#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qconv/qconv_pixels.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {
namespace {

// From a pixel's first tap to the codes of each quad.
std::vector<int32_t> QuadOffsets(const QPixels& pixels, const QConvShape& s) {
  std::vector<int32_t> offsets;
  const size_t step = s.dense_rows() ? s.kernel_w : 1;  // taps of a run
  for (size_t p = 0; p < s.kernel_h; ++p)
    for (size_t q = 0; q < s.kernel_w; q += step)
      for (size_t k = 0; k < step * s.group_in(); k += 4)
        offsets.push_back(pixels.Tap(p, q) + static_cast<int32_t>(k));
  return offsets;
}

}  // namespace

void QConv(const QConvArgs& a, const QConvWeights& w, const QOutput& out, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QConvRef(a, w, out);
  const QConvShape& s = a.shape;
  const size_t rows = s.batch * s.out_h * s.out_w;
  if (rows == 0) return;
  if (w.depthwise()) {
    QConvDepthwise(a, w, out, threads);
    if (a.residual)
      threads.For(rows * s.out_c, 1 << 16, [&](size_t begin, size_t end) {
        QBinary(ResidualOf(a, begin, end), a.residual->params);
      });
    return;
  }
  for (size_t g = 0; g < s.groups; ++g) {
    // a quad that exceeds its run may exceed the image
    const QPixels pixels(a, g * s.group_in(), s.group_in(), w.group(g).run() % 4 != 0);
    const std::vector<int32_t> offsets = QuadOffsets(pixels, s);
    const size_t channel = g * s.group_out();
    QuadProduct p{&w.group(g), offsets, pixels.zero(), &out, channel};
    p.y = static_cast<char*>(a.y) + channel * out.ElementSize();
    p.y_stride = s.out_c;
    p.rows = rows;
    p.unit = pixels.copied() ? s.out_w : 1;
    p.row_bytes = s.in_h * s.in_w * s.group_in() / (s.out_h * s.out_w) + 1;
    if (a.residual) {
      p.residual = a.residual;
      p.other = static_cast<const uint8_t*>(a.residual->b.data) + channel;
    }
    RunQuadProduct(
        p,
        [&](size_t begin, size_t count, const uint8_t** places, std::vector<uint8_t>& scratch) {
          pixels.Place(begin, count, places, scratch);
        },
        threads);
  }
}

}  // namespace mezzo
