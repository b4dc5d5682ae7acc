#include "mezzo/kernels/qconv/qconv.h"

#include <gtest/gtest.h>

#include <random>

#include "mezzo/base/cpu.h"

namespace mezzo {
namespace {

size_t OutSize(size_t in, size_t kernel, size_t stride, size_t dilation, size_t pads) {
  const size_t reach = (kernel - 1) * dilation + 1;
  return in + pads < reach ? 0 : (in + pads - reach) / stride + 1;
}

// A random geometry; small, so that every tail and border occurs often.
QConvShape RandomShape(std::mt19937& rng) {
  const auto pick = [&](size_t lo, size_t hi) { return lo + rng() % (hi - lo + 1); };
  QConvShape s;
  s.batch = pick(1, 2);
  s.in_h = pick(1, 9);
  s.in_w = pick(1, 11);
  s.kernel_h = pick(1, 4);
  s.kernel_w = pick(1, 5);
  s.stride_h = pick(1, 3);
  s.stride_w = pick(1, 2);
  s.dilation_h = pick(1, 2);
  s.dilation_w = pick(1, 3);
  s.pad_top = pick(0, 2);
  s.pad_left = pick(0, 2);
  const size_t kind = rng() % 4;
  if (kind == 0) {  // depthwise
    s.groups = s.in_c = s.out_c = pick(2, rng() % 2 ? 50 : 150);
    if (rng() % 2) {  // windows that slide
      s.kernel_h = s.kernel_w = rng() % 2 ? 3 : 5;
      s.dilation_h = s.dilation_w = 1;
      s.in_w = pick(1, 24);
    }
  } else {
    s.groups = kind == 1 ? pick(2, 3) : 1;
    s.in_c = s.groups * pick(1, 20);
    s.out_c = s.groups * pick(1, rng() % 4 ? 20 : 150);
  }
  s.out_h = OutSize(s.in_h, s.kernel_h, s.stride_h, s.dilation_h, s.pad_top + pick(0, 2));
  s.out_w = OutSize(s.in_w, s.kernel_w, s.stride_w, s.dilation_w, s.pad_left + pick(0, 2));
  return s;
}

struct Problem {
  QConvArgs args;
  std::vector<uint8_t> x, w, other;
  std::vector<int32_t> w_zero, bias;
  std::vector<float> scale;
  QConvWeights packed;

  // blank: padding is 0, and quads are those of whole taps.
  explicit Problem(unsigned seed, bool blank = false) {
    std::mt19937 rng(seed);
    do args.shape = RandomShape(rng);
    while (args.shape.out_h * args.shape.out_w == 0 || (blank && args.shape.depthwise()));
    if (blank) {
      args.shape.groups = 1;
      args.shape.in_c = 4 * (1 + rng() % 6);
      args.shape.out_c = 1 + rng() % 150;
    }
    const QConvShape& s = args.shape;
    const bool extreme = rng() % 3 == 0;
    x.resize(s.batch * s.in_h * s.in_w * s.in_c);
    w.resize(s.out_c * s.group_in() * s.taps());
    args.x = {x.data(), !blank && rng() % 2 != 0};
    const uint8_t low = args.x.is_signed ? 0x80 : 0, high = low - 1;
    for (uint8_t& v : x) v = extreme ? (rng() % 2 ? low : high) : static_cast<uint8_t>(rng());
    for (uint8_t& v : w) v = extreme ? 127 + rng() % 2 : static_cast<uint8_t>(rng());
    const int32_t zeros[] = {QCodes({&low, args.x.is_signed})[0],
                             QCodes({&high, args.x.is_signed})[0], 11};
    args.x_zero = blank ? 0 : zeros[rng() % 3];
    const bool w_signed = blank || rng() % 4 != 0;
    if (!w_signed)
      for (size_t n = 0; n < s.out_c; ++n) w_zero.push_back(static_cast<int32_t>(rng() % 256));
    for (size_t n = 0; n < s.out_c; ++n) {
      bias.push_back(static_cast<int32_t>(rng() % 2001) - 1000);
      scale.push_back(static_cast<float>(rng() % 999 + 1) * 1e-5f);
    }
    other.resize(s.batch * s.out_h * s.out_w * s.out_c);
    for (uint8_t& v : other) v = static_cast<uint8_t>(rng());
    packed = QConvWeights::Pack({w.data(), w_signed}, s, w_zero);
  }

  QResidual Residual(QOutput::Kind kind, unsigned seed) const {
    const bool is_signed = kind == QOutput::Kind::kInt8;
    if (!is_signed && seed % 4 < 3) {  // what ends in a Relu; sums of 32 bits and more
      const float ratio = seed % 4 == 0 ? 0.4f : seed % 4 == 1 ? 49.5f : 2e7f;
      return {{false, 50, ratio, 3, 0, 0, 0, 255}, false, {other.data(), false}};
    }
    return {{false, 0.7f, 0.4f, 3, 100, 9, is_signed ? -90 : 13, 121},
            is_signed,
            {other.data(), other[0] % 2 != 0}};
  }

  QOutput Output(QOutput::Kind kind) const {
    return MakeQOutput({kind, scale, bias, {}, 3, 1, 126}, args.shape.out_c);
  }
  // By the twin where there are no threads.
  std::vector<uint8_t> Run(const QOutput& out, const QResidual* residual,
                           const Threads* threads) const {
    const QConvShape& s = args.shape;
    const size_t bytes = s.batch * s.out_h * s.out_w * s.out_c * out.ElementSize();
    std::vector<uint8_t> y(bytes + 64, 0xa5);
    QConvArgs a = args;
    a.y = y.data();
    a.residual = residual;
    threads ? QConv(a, packed, out, *threads) : QConvRef(a, packed, out);
    for (size_t i = bytes; i < y.size(); ++i) EXPECT_EQ(y[i], 0xa5) << "canary";
    return y;
  }
};

TEST(QConv, EqualsReferenceOnRandomGeometries) {
  const Threads pools[] = {Threads(), Threads(3)};
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (unsigned seed = 1; seed <= 600; ++seed) {
      const Problem p(seed, seed % 4 == 0);
      for (const auto kind : {QOutput::Kind::kUInt8, QOutput::Kind::kInt8, QOutput::Kind::kFloat,
                              QOutput::Kind::kInt32}) {
        const QOutput out = p.Output(kind);
        const QResidual residual = p.Residual(kind, seed);
        const QResidual* added = out.ElementSize() == 1 && seed % 3 ? &residual : nullptr;
        ASSERT_EQ(p.Run(out, added, &pools[seed % 2]), p.Run(out, added, nullptr))
            << Name(isa) << " seed " << seed << " kind " << static_cast<int>(kind);
      }
    }
  }
}

// A 3x3 of ones over a 3x3 of ones, padded: the sums count the taps inside the image.
TEST(QConv, ReferenceCountsTaps) {
  QConvArgs a;
  a.shape.in_h = a.shape.in_w = a.shape.out_h = a.shape.out_w = 3;
  a.shape.kernel_h = a.shape.kernel_w = 3;
  a.shape.pad_top = a.shape.pad_left = 1;
  const std::vector<uint8_t> x(9, 6);
  const std::vector<int8_t> w(9, 1);
  a.x = {x.data(), false};
  a.x_zero = 5;
  std::vector<int32_t> y(9);
  a.y = y.data();
  QConvRef(a, QConvWeights::Pack({w.data(), true}, a.shape), MakeQOutput({}, 1));
  EXPECT_EQ(y, (std::vector<int32_t>{4, 6, 4, 6, 9, 6, 4, 6, 4}));
}

}  // namespace
}  // namespace mezzo
