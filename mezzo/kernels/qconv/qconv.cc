// Convolution as a matrix product whose rows are gathered a panel at a time (implicit GEMM): a few
// hundred pixels of (kernel_h * kernel_w * channels) exist at once, never the whole im2col matrix.
#include "mezzo/kernels/qconv/qconv.h"

#include <algorithm>
#include <cstring>

#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qgemm/qgemm_panel.h"

namespace mezzo {
namespace {

// The taps of one kernel row that fall inside the image: [begin, end).
struct TapRange {
  size_t begin, end;
};

TapRange Inside(size_t origin, size_t dilation, size_t kernel, size_t size) {
  // `origin` is the (possibly wrapped, negative) coordinate of tap 0
  size_t begin = 0;
  while (begin < kernel && origin + begin * dilation >= size) ++begin;
  size_t end = begin;
  while (end < kernel && origin + end * dilation < size) ++end;
  return {begin, end};
}

class Gatherer {
 public:
  Gatherer(const QConvArgs& a, size_t group)
      : a_(a), s_(a.shape), first_c_(group * a.shape.group_in()), lines_(LinesOf(CurrentIsa())) {}

  void operator()(size_t begin, size_t count, int16_t* panel, size_t stride) const {
    const size_t depth = s_.taps() * s_.group_in();
    size_t j = begin % s_.out_w, i = begin / s_.out_w % s_.out_h, b = begin / s_.out_w / s_.out_h;
    for (size_t r = 0; r < count; ++r, panel += stride) {
      Pixel(b, i, j, panel);
      if (depth % 2) panel[depth] = 0;
      if (++j < s_.out_w) continue;
      j = 0;
      if (++i < s_.out_h) continue;
      i = 0;
      ++b;
    }
  }

 private:
  void Pixel(size_t b, size_t i, size_t j, int16_t* to) const {
    const size_t origin_w = j * s_.stride_w - s_.pad_left;
    const TapRange in = Inside(origin_w, s_.dilation_w, s_.kernel_w, s_.in_w);
    const size_t c = s_.group_in(), row = s_.kernel_w * c;
    for (size_t p = 0; p < s_.kernel_h; ++p, to += row) {
      const size_t h = i * s_.stride_h + p * s_.dilation_h - s_.pad_top;
      if (h >= s_.in_h || in.begin == in.end) {
        std::fill_n(to, row, int16_t{0});
        continue;
      }
      if (in.begin > 0) std::fill_n(to, in.begin * c, int16_t{0});
      if (in.end < s_.kernel_w) std::fill(to + in.end * c, to + row, int16_t{0});
      TapRow(((b * s_.in_h + h) * s_.in_w + origin_w) * s_.in_c + first_c_, in, to);
    }
  }

  void TapRow(size_t x0, TapRange in, int16_t* to) const {
    const size_t c = s_.group_in();
    if (s_.dilation_w == 1 && s_.groups == 1) {  // neighbouring taps lie side by side
      Widen(x0 + in.begin * c, (in.end - in.begin) * c, to + in.begin * c);
      return;
    }
    for (size_t q = in.begin; q < in.end; ++q)
      Widen(x0 + q * s_.dilation_w * s_.in_c, c, to + q * c);
  }

  void Widen(size_t x, size_t n, int16_t* to) const {
    lines_.widen(static_cast<const char*>(a_.x.data) + x, a_.x.is_signed, n,
                 static_cast<int16_t>(a_.x_zero), to);
  }

  const QConvArgs& a_;
  const QConvShape& s_;
  size_t first_c_;
  const QLines& lines_;
};

}  // namespace

void QConv(const QConvArgs& a, const QConvWeights& w, const QOutput& out, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QConvRef(a, w, out);
  if (w.depthwise()) return QConvDepthwise(a, w, out, threads);
  const QConvShape& s = a.shape;
  for (size_t g = 0; g < s.groups; ++g) {
    const size_t channel = g * s.group_out();
    char* y = static_cast<char*>(a.y) + channel * out.ElementSize();
    RunQProduct({s.batch * s.out_h * s.out_w, &w.group(g), &out, channel, y, s.out_c},
                Gatherer(a, g), threads);
  }
}

}  // namespace mezzo
