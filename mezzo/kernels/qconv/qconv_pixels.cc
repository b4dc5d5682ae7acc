#include "mezzo/kernels/qconv/qconv_pixels.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {
namespace {

bool SeesPadding(const QConvShape& s) {
  return s.pad_top > 0 || s.pad_left > 0 ||
         (s.out_h - 1) * s.stride_h + (s.kernel_h - 1) * s.dilation_h >= s.in_h ||
         (s.out_w - 1) * s.stride_w + (s.kernel_w - 1) * s.dilation_w >= s.in_w;
}

}  // namespace

QPixels::QPixels(const QConvArgs& args, size_t first, size_t channels, bool copy,
                 bool reads_padding)
    : args_(args),
      shape_(args.shape),
      first_(first),
      channels_(channels),
      copied_(reads_padding &&
              (copy || args.x.is_signed || channels != shape_.in_c || SeesPadding(shape_))),
      width_(copied_ ? (shape_.out_w - 1) * shape_.stride_w +
                           (shape_.kernel_w - 1) * shape_.dilation_w + 1
                     : shape_.in_w) {}

const uint8_t* QPixels::At(size_t b, size_t h, size_t w) const {
  return static_cast<const uint8_t*>(args_.x.data) +
         ((b * shape_.in_h + h) * shape_.in_w + w) * shape_.in_c + first_;
}

void QPixels::Place(size_t begin, size_t count, const uint8_t** rows,
                    std::vector<uint8_t>& scratch) const {
  if (!copied_) return InPlace(begin, count, rows);
  const QConvShape& s = shape_;
  const size_t pitch = width_ * channels_;
  const size_t first = begin / s.out_w, last = first + count / s.out_w;
  // rows of the output that are of one image share the rows of input that they see
  std::vector<std::pair<size_t, size_t>> parts;
  size_t bytes = kSlack;
  for (size_t at = first; at < last; at = parts.back().second) {
    parts.emplace_back(at, std::min(last, (at / s.out_h + 1) * s.out_h));
    bytes += InputRows(parts.back().second - at) * pitch;
  }
  if (scratch.size() < bytes) scratch.resize(bytes);
  uint8_t* to = scratch.data();
  for (const auto& [from, end] : parts) {
    const size_t height = InputRows(end - from);
    for (size_t h = 0; h < height; ++h)
      CopyRow(from / s.out_h, from % s.out_h * s.stride_h + h - s.pad_top, to + h * pitch);
    for (size_t r = from; r < end; ++r)
      for (size_t j = 0; j < s.out_w; ++j)
        *rows++ = to + (r - from) * s.stride_h * pitch + j * s.stride_w * channels_;
    to += height * pitch;
  }
}

void QPixels::InPlace(size_t begin, size_t count, const uint8_t** rows) const {
  const QConvShape& s = shape_;
  const size_t step = s.stride_w * s.in_c, before = (s.pad_top * s.in_w + s.pad_left) * s.in_c;
  size_t j = begin % s.out_w, i = begin / s.out_w % s.out_h, b = begin / s.out_w / s.out_h;
  for (const uint8_t** const end = rows + count; rows < end; j = 0) {  // a row of the output
    const uint8_t* at = At(b, i * s.stride_h, j * s.stride_w) - before;
    const uint8_t** const last = std::min(end, rows + (s.out_w - j));
    for (; rows < last; at += step) *rows++ = at;
    if (++i == s.out_h) i = 0, ++b;
  }
}

size_t QPixels::InputRows(size_t out_rows) const {
  return (out_rows - 1) * shape_.stride_h + (shape_.kernel_h - 1) * shape_.dilation_h + 1;
}

// Row h of image b, from pad_left pixels before it on; `h` has wrapped where it is negative.
void QPixels::CopyRow(size_t b, size_t h, uint8_t* to) const {
  const size_t c = channels_;
  if (h >= shape_.in_h) {
    std::memset(to, zero(), width_ * c);
    return;
  }
  const size_t before = std::min(shape_.pad_left, width_);
  const size_t inside = std::min(shape_.in_w, width_ - before), after = width_ - before - inside;
  std::memset(to, zero(), before * c);
  to += before * c;
  if (c == shape_.in_c)
    CopyUnsigned({At(b, h, 0), args_.x.is_signed}, inside * c, to);
  else
    for (size_t w = 0; w < inside; ++w)
      CopyUnsigned({At(b, h, w), args_.x.is_signed}, c, to + w * c);
  std::memset(to + inside * c, zero(), after * c);
}

}  // namespace mezzo
