#include <vector>

#include "mezzo/base/error.h"
#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {
QConvWeights QConvWeights::Pack(QCodes w, const QConvShape& s, std::span<const int32_t> zero) {
  Require(s.groups > 0 && s.in_c % s.groups == 0 && s.out_c % s.groups == 0,
          "convolution: ", s.groups, " groups do not divide ", s.in_c, " and ", s.out_c,
          " channels");
  QConvWeights packed;
  packed.group_out_ = s.group_out();
  const size_t taps = s.taps(), depth = taps * s.group_in();
  if (s.depthwise()) {
    packed.channels_ = QDepthwiseWeights::Pack(w, s, zero);
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
  return depthwise() ? channels_.Filter(n) : groups_[n / group_out_].Column(n % group_out_);
}

}  // namespace mezzo
