#include <algorithm>
#include <cmath>

#include "mezzo/base/aligned.h"
#include "mezzo/base/error.h"
#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {
namespace {

// C: the codes' type.
template <class C, class W>
void FillPanels(W* out, const C* w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                std::span<const int32_t> zero) {
  const size_t pairs = (depth + 1) / 2;
  for (size_t first = 0; first < cols; first += kQPanel, out += pairs * 2 * kQPanel) {
    const size_t count = std::min(kQPanel, cols - first);
    int32_t z[kQPanel] = {};
    for (size_t n = 0; n < count && !zero.empty(); ++n)
      z[n] = zero[zero.size() == 1 ? 0 : first + n];
    const C* panel = w + first * col_stride;
    if (row_stride == 1) {  // columns lie side by side in memory
      for (size_t n = 0; n < count; ++n)
        for (size_t k = 0; k < depth; ++k)
          out[k / 2 * 2 * kQPanel + 2 * n + k % 2] =
              static_cast<W>(panel[n * col_stride + k] - z[n]);
      continue;
    }
    for (size_t k = 0; k < depth; ++k)
      for (size_t n = 0; n < count; ++n)
        out[k / 2 * 2 * kQPanel + 2 * n + k % 2] =
            static_cast<W>(panel[k * row_stride + n * col_stride] - z[n]);
  }
}

template <class W>
void FillPanels(W* out, QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                std::span<const int32_t> zero) {
  if (w.is_signed)
    FillPanels(out, static_cast<const int8_t*>(w.data), depth, cols, row_stride, col_stride, zero);
  else
    FillPanels(out, static_cast<const uint8_t*>(w.data), depth, cols, row_stride, col_stride, zero);
}

void Pad(std::vector<float>& to, std::span<const float> from, size_t cols, size_t padded) {
  to.assign(padded, 0.0f);
  for (size_t n = 0; n < cols; ++n) to[n] = from[from.size() == 1 ? 0 : n];
}

}  // namespace

QWeights QWeights::Pack(QCodes w, size_t depth, size_t cols, size_t row_stride, size_t col_stride,
                        std::span<const int32_t> zero) {
  Require(zero.size() <= 1 || zero.size() == cols, "qgemm: got ", zero.size(),
          " weight zero points, needs ", cols);
  QWeights p;
  p.depth_ = depth;
  p.cols_ = cols;
  p.wide_ = !w.is_signed;
  for (const int32_t z : zero) p.wide_ |= z != 0;
  p.data_ = AlignedZeros<uint8_t>(p.bytes());
  if (p.wide_)
    FillPanels(reinterpret_cast<int16_t*>(p.data_.get()), w, depth, cols, row_stride, col_stride,
               zero);
  else
    FillPanels(reinterpret_cast<int8_t*>(p.data_.get()), w, depth, cols, row_stride, col_stride,
               zero);
  return p;
}

int32_t QWeights::At(size_t k, size_t n) const {
  const size_t i = k / 2 * 2 * kQPanel + n % kQPanel * 2 + k % 2;
  const void* panel = Panel(n / kQPanel);
  return wide_ ? static_cast<const int16_t*>(panel)[i] : static_cast<const int8_t*>(panel)[i];
}

QOutput MakeQOutput(const QOutputSpec& s, size_t cols) {
  QOutput out;
  out.kind = s.kind;
  // groups of channels begin anywhere, so a whole panel may be read from the last one on
  const size_t padded = (cols + kQPanel - 1) / kQPanel * kQPanel + kQPanel;
  Require(s.bias.empty() || s.bias.size() == cols, "integer output: got ", s.bias.size(),
          " biases, needs ", cols);
  Require(s.offset.empty() || s.offset.size() == cols, "integer output: got ", s.offset.size(),
          " offsets, needs ", cols);
  out.bias.assign(padded, 0);
  std::copy(s.bias.begin(), s.bias.end(), out.bias.begin());
  if (s.kind == QOutput::Kind::kInt32) return out;

  Require(s.scale.size() == 1 || s.scale.size() == cols, "integer output: got ", s.scale.size(),
          " scales, needs 1 or ", cols);
  for (const float v : s.scale) Require(std::isfinite(v), "integer output: scale ", v);
  for (const float v : s.offset) Require(std::isfinite(v), "integer output: offset ", v);
  Pad(out.scale, s.scale, cols, padded);
  out.has_offset = !s.offset.empty();
  out.bounded = out.kind == QOutput::Kind::kUInt8 && !out.has_offset &&
                std::all_of(s.scale.begin(), s.scale.end(), [](float v) { return v < 0.5f; });
  if (out.has_offset) Pad(out.offset, s.offset, cols, padded);
  if (s.kind == QOutput::Kind::kFloat) return out;

  const bool is_signed = s.kind == QOutput::Kind::kInt8;
  out.lo = std::max(s.lo, is_signed ? -128 : 0);
  out.hi = std::min(s.hi, is_signed ? 127 : 255);
  out.zero_point = s.zero_point;
  Require(out.lo <= out.hi, "integer output: no code between ", s.lo, " and ", s.hi);
  return out;
}

std::vector<int32_t> BeginSums(const QOutput& out, size_t channel, size_t cols, int32_t zero,
                               std::span<const uint32_t> weight_sums) {
  std::vector<int32_t> begin(RoundUp(cols, kQPanel));
  for (size_t n = 0; n < cols; ++n)
    begin[n] = static_cast<int32_t>(static_cast<uint32_t>(out.bias[channel + n]) -
                                    static_cast<uint32_t>(zero) * weight_sums[n]);
  return begin;
}

}  // namespace mezzo
