#include "mezzo/kernels/qpool/qpool.h"

#include <algorithm>
#include <vector>

#include "mezzo/base/cpu.h"

namespace mezzo {
namespace {

// The taps of one axis that fall inside the image, and how many inside image or padding.
struct Window {
  size_t begin, end, padded;  // [begin, end) taps

  Window(size_t origin, size_t kernel, size_t dilation, size_t pad, size_t in, size_t pad_after)
      : begin(TapsBefore(pad, origin, kernel, dilation)),
        end(TapsBefore(pad + in, origin, kernel, dilation)),
        padded(TapsBefore(pad + in + pad_after, origin, kernel, dilation)) {}
  size_t size() const { return end - begin; }
};

// Calls pixel(y index, taps, taps inside and padded) for the output pixels of rows [begin, end).
template <class F>
void ForEachPixel(const QPoolArgs& a, size_t begin, size_t end, F&& pixel) {
  const QConvShape& s = a.shape;
  const auto* x = static_cast<const uint8_t*>(a.x.data);
  std::vector<Window> columns;
  for (size_t j = 0; j < s.out_w; ++j)
    columns.emplace_back(j * s.stride_w, s.kernel_w, s.dilation_w, s.pad_left, s.in_w, a.pad_right);
  std::vector<size_t> offsets;
  for (size_t row = begin; row < end; ++row) {
    const size_t b = row / s.out_h, i = row % s.out_h;
    const Window h(i * s.stride_h, s.kernel_h, s.dilation_h, s.pad_top, s.in_h, a.pad_bottom);
    const size_t y0 = b * s.in_h + i * s.stride_h + h.begin * s.dilation_h - s.pad_top;
    const Window* before = nullptr;
    for (size_t j = 0; j < s.out_w; ++j) {
      const Window& w = columns[j];
      if (!before || before->begin != w.begin || before->end != w.end) {
        offsets.clear();
        for (size_t p = 0; p < h.size(); ++p)
          for (size_t q = 0; q < w.size(); ++q)
            offsets.push_back((p * s.dilation_h * s.in_w + q * s.dilation_w) * s.in_c);
      }
      before = &w;
      const size_t x0 = j * s.stride_w + w.begin * s.dilation_w - s.pad_left;
      pixel((row * s.out_w + j) * s.in_c,
            QTaps{offsets.empty() ? x : x + (y0 * s.in_w + x0) * s.in_c, a.x.is_signed, offsets},
            h.padded * w.padded);
    }
  }
}

size_t Grain(const QConvShape& s) {
  return std::max<size_t>((1 << 15) / std::max<size_t>(s.out_w * s.in_c * s.taps(), 1), 1);
}

}  // namespace

void QAveragePool(const QPoolArgs& a, const QAverageParams& p, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QAveragePoolRef(a, p);
  const size_t channels = a.shape.in_c;
  threads.For(a.shape.batch * a.shape.out_h, Grain(a.shape), [&](size_t begin, size_t end) {
    std::vector<int32_t> sums(channels);
    ForEachPixel(a, begin, end, [&](size_t y, const QTaps& taps, size_t padded) {
      const size_t inside = taps.offsets.size();
      std::fill(sums.begin(), sums.end(), 0);
      for (const size_t tap : taps.offsets)
        AddCodesAvx2({taps.x + tap, taps.is_signed}, channels, sums.data());
      const size_t count = std::max<size_t>(a.count_padding ? padded : inside, 1);
      StoreAverageAvx2(sums.data(), channels, static_cast<int32_t>(inside) * p.x_zero,
                       p.ratio / static_cast<float>(count), p, static_cast<uint8_t*>(a.y) + y);
    });
  });
}

void QMaxPool(const QPoolArgs& a, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QMaxPoolRef(a);
  const size_t channels = a.shape.in_c;
  threads.For(a.shape.batch * a.shape.out_h, Grain(a.shape), [&](size_t begin, size_t end) {
    ForEachPixel(a, begin, end, [&](size_t y, const QTaps& taps, size_t) {
      MaxOfTapsAvx2(taps, channels, static_cast<uint8_t*>(a.y) + y);
    });
  });
}

}  // namespace mezzo
