// Convolution as a matrix product whose rows are read where they lie (implicit GEMM): quads of
// weights know where from a pixel's first tap their codes are.
#include "mezzo/kernels/qconv/qconv.h"

#include <optional>

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

// What output rows (or columns) see of the taps.
std::vector<QuadWindows::Span> SpansOf(size_t out, size_t in, size_t kernel, size_t stride,
                                       size_t dilation, size_t pad) {
  std::vector<QuadWindows::Span> spans;
  for (size_t i = 0; i < out; ++i) {
    const size_t first = TapsBefore(pad, i * stride, kernel, dilation);
    const size_t last = TapsBefore(in + pad, i * stride, kernel, dilation);
    if (spans.empty() || spans.back().first != first || spans.back().last != last)
      spans.push_back({i, i, first, last});
    ++spans.back().end;
  }
  return spans;
}

// Of all rows (or columns) of taps together.
size_t Seen(const std::vector<QuadWindows::Span>& spans) {
  size_t seen = 0;
  for (const QuadWindows::Span& s : spans) seen += (s.end - s.begin) * (s.last - s.first);
  return seen;
}

// The taps that output pixels see, where codes that are read as 0 surround the image, quads are
// those of whole taps and a sixteenth of all are saved: a copy with padding is easier to read.
std::optional<QuadWindows> WindowsOf(const QConvArgs& a, const QQuads& w, const QOutput& out) {
  const QConvShape& s = a.shape;
  if (!w.lines().runs || !out.bounded || a.residual || a.x.is_signed || a.x_zero != w.lines().off ||
      s.groups > 1 || s.in_c % 4 != 0 || s.taps() == 1)
    return std::nullopt;
  const size_t tap_quads = s.in_c / 4;
  for (const QQuads::Panel& panel : w.panels())
    if (panel.vectors != w.lines().max_vectors || panel.singles != s.taps() * tap_quads)
      return std::nullopt;
  QuadWindows v{s.out_h, s.out_w, s.kernel_w, tap_quads, {}, {}};
  v.rows = SpansOf(s.out_h, s.in_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top);
  v.columns = SpansOf(s.out_w, s.in_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left);
  const size_t all = s.out_h * s.out_w * s.taps();
  return 16 * Seen(v.rows) * Seen(v.columns) <= 15 * all ? std::optional(v) : std::nullopt;
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
    const std::optional<QuadWindows> windows = WindowsOf(a, w.group(g), out);
    const QPixels pixels(a, g * s.group_in(), s.group_in(), w.group(g).run() % 4 != 0, !windows);
    const std::vector<int32_t> offsets = QuadOffsets(pixels, s);
    const size_t channel = g * s.group_out();
    QuadProduct p{&w.group(g), offsets, pixels.zero(), &out, channel};
    p.y = static_cast<char*>(a.y) + channel * out.ElementSize();
    p.y_stride = s.out_c;
    p.rows = rows;
    p.unit = pixels.copied() || windows ? s.out_w : 1;
    p.windows = windows ? &*windows : nullptr;
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
