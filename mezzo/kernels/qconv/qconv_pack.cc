#include <vector>

#include "mezzo/base/error.h"
#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {
namespace {

int32_t ZeroOf(std::span<const int32_t> zero, size_t n) {
  return zero.empty() ? 0 : zero[zero.size() == 1 ? 0 : n];
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
    packed.tap_pairs_ = (taps + 1) / 2;
    packed.pairs_.assign((s.out_c + 15) / 16 * packed.tap_pairs_ * 32, 0);
    packed.sums_.assign(s.out_c, 0);
    for (size_t n = 0; n < s.out_c; ++n)
      for (size_t t = 0; t < taps; ++t) {
        const int32_t v = w[n * taps + t] - ZeroOf(zero, n);
        packed.pairs_[(n / 16 * packed.tap_pairs_ + t / 2) * 32 + n % 16 * 2 + t % 2] =
            static_cast<int16_t>(v);
        packed.sums_[n] += v;
      }
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
  for (size_t t = 0; t < 2 * tap_pairs_; ++t)
    taps.push_back(Pairs(n / 16, t / 2)[n % 16 * 2 + t % 2]);
  return taps;
}

}  // namespace mezzo
