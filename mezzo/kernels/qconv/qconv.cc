// Convolution as a matrix product whose rows are read where they lie (implicit GEMM): quads of
// weights know where from a pixel's first tap their codes are. Images that are padded, and codes
// that quads cannot take as they are, are copied a block at a time.
#include "mezzo/kernels/qconv/qconv.h"

#include <algorithm>
#include <cstring>

#include "mezzo/kernels/qconv/qconv_depthwise.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {
namespace {

// One group's channels of the image, as the product reads them.
class Pixels {
 public:
  Pixels(const QConvArgs& a, size_t group)
      : a_(a), s_(a.shape), first_c_(group * a.shape.group_in()), copied_(MustCopy(a)) {
    width_ =
        copied_ ? (s_.out_w - 1) * s_.stride_w + (s_.kernel_w - 1) * s_.dilation_w + 1 : s_.in_w;
  }

  bool copied() const { return copied_; }

  // From a pixel's first tap to the codes of each quad.
  std::vector<int32_t> Offsets() const {
    const size_t c = s_.group_in(), taps = s_.dense_rows() ? 1 : s_.kernel_w;
    const size_t run = s_.kernel_w / taps * c;
    std::vector<int32_t> offsets;
    for (size_t p = 0; p < s_.kernel_h; ++p)
      for (size_t q = 0; q < taps; ++q)
        for (size_t k = 0; k < run; k += 4)
          offsets.push_back(
              static_cast<int32_t>((p * s_.dilation_h * width_ + q * s_.dilation_w) * c + k));
    return offsets;
  }

  void operator()(size_t begin, size_t count, const uint8_t** rows,
                  std::vector<uint8_t>& scratch) const {
    if (copied_)
      Copied(begin, count, rows, scratch);
    else
      InPlace(begin, count, rows);
  }

 private:
  static bool MustCopy(const QConvArgs& a) {
    const QConvShape& s = a.shape;
    const bool inside = s.pad_top == 0 && s.pad_left == 0 &&
                        (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h < s.in_h &&
                        (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w < s.in_w;
    // a quad that exceeds its run may exceed the image
    const size_t run = s.group_in() * (s.dense_rows() ? s.kernel_w : 1);
    return !inside || a.x.is_signed || s.groups > 1 || run % 4 != 0;
  }

  const uint8_t* At(size_t b, size_t h, size_t w) const {
    return static_cast<const uint8_t*>(a_.x.data) + ((b * s_.in_h + h) * s_.in_w + w) * s_.in_c +
           first_c_;
  }

  void InPlace(size_t begin, size_t count, const uint8_t** rows) const {
    size_t j = begin % s_.out_w, i = begin / s_.out_w % s_.out_h, b = begin / s_.out_w / s_.out_h;
    for (size_t r = 0; r < count; ++r) {
      rows[r] = At(b, i * s_.stride_h, j * s_.stride_w);
      if (++j < s_.out_w) continue;
      j = 0;
      if (++i < s_.out_h) continue;
      i = 0, ++b;
    }
  }

  // Whole rows of output pixels; those of one image share the rows of input that they read.
  void Copied(size_t begin, size_t count, const uint8_t** rows,
              std::vector<uint8_t>& scratch) const {
    const size_t pitch = width_ * s_.group_in();
    const size_t first = begin / s_.out_w, last = first + count / s_.out_w;
    std::vector<std::pair<size_t, size_t>> parts;  // [first, last) within an image
    size_t bytes = 16;
    for (size_t at = first; at < last; at = parts.back().second) {
      parts.emplace_back(at, std::min(last, (at / s_.out_h + 1) * s_.out_h));
      bytes += InputRows(parts.back().second - at) * pitch;
    }
    if (scratch.size() < bytes) scratch.resize(bytes);
    uint8_t* to = scratch.data();
    for (const auto& [from, end] : parts) {
      const size_t b = from / s_.out_h, i = from % s_.out_h, height = InputRows(end - from);
      for (size_t h = 0; h < height; ++h)
        CopyRow(b, i * s_.stride_h + h - s_.pad_top, to + h * pitch);
      for (size_t r = from; r < end; ++r)
        for (size_t j = 0; j < s_.out_w; ++j)
          *rows++ = to + (r - from) * s_.stride_h * pitch + j * s_.stride_w * s_.group_in();
      to += height * pitch;
    }
  }

  size_t InputRows(size_t out_rows) const {
    return (out_rows - 1) * s_.stride_h + (s_.kernel_h - 1) * s_.dilation_h + 1;
  }

  // Row h of image b, from pad_left pixels before it on; `h` may have wrapped.
  void CopyRow(size_t b, size_t h, uint8_t* to) const {
    const size_t c = s_.group_in();
    const int zero = a_.x_zero + (a_.x.is_signed ? 128 : 0);
    if (h >= s_.in_h) {
      std::memset(to, zero, width_ * c);
      return;
    }
    const size_t before = std::min(s_.pad_left, width_);
    const size_t inside = std::min(s_.in_w, width_ - before), after = width_ - before - inside;
    std::memset(to, zero, before * c);
    to += before * c;
    if (s_.groups == 1)
      CopyUnsigned({At(b, h, 0), a_.x.is_signed}, inside * c, to);
    else
      for (size_t w = 0; w < inside; ++w)
        CopyUnsigned({At(b, h, w), a_.x.is_signed}, c, to + w * c);
    std::memset(to + inside * c, zero, after * c);
  }

  const QConvArgs& a_;
  const QConvShape& s_;
  size_t first_c_;
  bool copied_;
  size_t width_;  // pixels of a row in memory
};

}  // namespace

void QConv(const QConvArgs& a, const QConvWeights& w, const QOutput& out, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QConvRef(a, w, out);
  if (w.depthwise()) return QConvDepthwise(a, w, out, threads);
  const QConvShape& s = a.shape;
  const size_t rows = s.batch * s.out_h * s.out_w;
  if (rows == 0) return;
  for (size_t g = 0; g < s.groups; ++g) {
    const Pixels pixels(a, g);
    const std::vector<int32_t> offsets = pixels.Offsets();
    const size_t channel = g * s.group_out();
    QuadProduct p{&w.group(g), offsets, a.x_zero + (a.x.is_signed ? 128 : 0), &out, channel};
    p.y = static_cast<char*>(a.y) + channel * out.ElementSize();
    p.y_stride = s.out_c;
    p.rows = rows;
    p.unit = pixels.copied() ? s.out_w : 1;
    p.row_bytes = s.in_h * s.in_w * s.group_in() / (s.out_h * s.out_w) + 1;
    RunQuadProduct(p, pixels, threads);
  }
}

}  // namespace mezzo
