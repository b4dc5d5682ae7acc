#include <vector>

#include "mezzo/base/error.h"
#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {
namespace {

QDepthwiseWeights PackDepthwise(QCodes w, const QConvShape& s, std::span<const int32_t> zero) {
  QDepthwiseWeights packed{s.out_c, s.kernel_h, s.kernel_w, {}, {}};
  packed.w.assign((s.out_c + kQPanel - 1) / kQPanel * packed.units() * 2 * kQPanel, 0);
  packed.sums.assign(s.out_c, 0);
  for (size_t n = 0; n < s.out_c; ++n)
    for (size_t p = 0; p < s.kernel_h; ++p)
      for (size_t q = 0; q < s.kernel_w; ++q) {
        const int32_t z = zero.empty() ? 0 : zero[zero.size() == 1 ? 0 : n];
        const int32_t v = w[(n * s.kernel_h + p) * s.kernel_w + q] - z;
        const size_t unit = n / kQPanel * packed.units() + p * packed.row_units() + q / 2;
        packed.w[(unit * kQPanel + n % kQPanel) * 2 + q % 2] = static_cast<int16_t>(v);
        packed.sums[n] += static_cast<uint32_t>(v);
      }
  return packed;
}

}  // namespace

QConvWeights QConvWeights::Pack(QCodes w, const QConvShape& s, std::span<const int32_t> zero) {
  Require(s.groups > 0 && s.in_c % s.groups == 0 && s.out_c % s.groups == 0,
          "convolution: ", s.groups, " groups do not divide ", s.in_c, " and ", s.out_c,
          " channels");
  QConvWeights packed;
  packed.group_out_ = s.group_out();
  const size_t taps = s.taps(), depth = taps * s.group_in();
  if (s.depthwise()) {
    packed.channels_ = PackDepthwise(w, s, zero);
    return packed;
  }
  // (n, c, tap) to (n, tap, c): the order in which channels-last pixels are gathered
  std::vector<uint8_t> codes(s.out_c * depth);
  const auto* from = static_cast<const uint8_t*>(w.data);
  for (size_t n = 0; n < s.out_c; ++n)
    for (size_t c = 0; c < s.group_in(); ++c)
      for (size_t t = 0; t < taps; ++t)
        codes[n * depth + t * s.group_in() + c] = from[(n * s.group_in() + c) * taps + t];
  for (size_t g = 0; g < s.groups; ++g) {
    const QCodes group{codes.data() + g * s.group_out() * depth, w.is_signed};
    const auto zeros = zero.size() <= 1 ? zero : zero.subspan(g * s.group_out(), s.group_out());
    const size_t run = s.group_in() * (s.dense_rows() ? s.kernel_w : 1);
    packed.groups_.push_back(QQuads::Pack(group, depth, s.group_out(), 1, depth, zeros, run));
  }
  return packed;
}

std::vector<int32_t> QConvWeights::Filter(size_t n) const {
  if (!depthwise()) return groups_[n / group_out_].Column(n % group_out_);
  std::vector<int32_t> taps;
  const QDepthwiseWeights& c = channels_;
  for (size_t p = 0; p < c.kernel_h; ++p)
    for (size_t q = 0; q < c.kernel_w; ++q)
      taps.push_back(
          c.Block(n / kQPanel)[((p * c.row_units() + q / 2) * kQPanel + n % kQPanel) * 2 + q % 2]);
  return taps;
}

}  // namespace mezzo
