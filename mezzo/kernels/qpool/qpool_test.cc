#include "mezzo/kernels/qpool/qpool.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "mezzo/base/cpu.h"

namespace mezzo {
namespace {

struct Problem {
  QPoolArgs args;
  QAverageParams params;
  std::vector<uint8_t> x;

  explicit Problem(unsigned seed) {
    std::mt19937 rng(seed);
    const auto pick = [&](size_t lo, size_t hi) { return lo + rng() % (hi - lo + 1); };
    QConvShape& s = args.shape;
    s.batch = pick(1, 2);
    s.in_h = pick(1, 8);
    s.in_w = pick(1, 8);
    s.in_c = s.out_c = pick(1, 40);
    s.kernel_h = pick(1, 3);
    s.kernel_w = pick(1, 4);
    s.stride_h = pick(1, 2);
    s.stride_w = pick(1, 3);
    s.dilation_h = pick(1, 2);
    s.pad_top = pick(0, s.kernel_h - 1);
    s.pad_left = pick(0, s.kernel_w - 1);
    args.pad_bottom = pick(0, s.kernel_h - 1);
    args.pad_right = pick(0, s.kernel_w - 1);
    // one more than fits, as ceil_mode gives
    s.out_h = (s.in_h + s.pad_top) / s.stride_h + 1;
    s.out_w = (s.in_w + s.pad_left) / s.stride_w + 1;
    args.count_padding = rng() % 2;
    x.resize(s.batch * s.in_h * s.in_w * s.in_c);
    for (uint8_t& v : x) v = static_cast<uint8_t>(rng());
    args.x = {x.data(), rng() % 2 != 0};
    params = {static_cast<float>(pick(1, 64)) / 32.0f, args.x.is_signed ? -128 : 255, 7, 1, 127};
  }

  template <class Run>
  std::vector<uint8_t> Result(Run&& run) const {
    const QConvShape& s = args.shape;
    const size_t n = s.batch * s.out_h * s.out_w * s.in_c;
    std::vector<uint8_t> y(n + 16, 0xa5);
    QPoolArgs a = args;
    a.y = y.data();
    run(a);
    for (size_t i = n; i < y.size(); ++i) EXPECT_EQ(y[i], 0xa5) << "canary";
    return y;
  }
};

TEST(QPool, EqualsReferenceOnRandomGeometries) {
  const Threads two(2);
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (unsigned seed = 1; seed <= 300; ++seed) {
      const Problem p(seed);
      ASSERT_EQ(p.Result([&](const QPoolArgs& a) { QAveragePool(a, p.params, two); }),
                p.Result([&](const QPoolArgs& a) { QAveragePoolRef(a, p.params); }))
          << Name(isa) << " average, seed " << seed;
      ASSERT_EQ(p.Result([&](const QPoolArgs& a) { QMaxPool(a, two); }),
                p.Result([&](const QPoolArgs& a) { QMaxPoolRef(a); }))
          << Name(isa) << " maximum, seed " << seed;
    }
  }
}

TEST(QPool, ReferenceFollowsTheFormula) {
  const std::vector<uint8_t> x{1, 2, 3, 8};
  QPoolArgs a;
  a.shape.in_h = a.shape.in_w = a.shape.kernel_h = a.shape.kernel_w = 2;
  a.x = {x.data(), false};
  uint8_t y = 0;
  a.y = &y;
  QAveragePoolRef(a, {2.0f, 1, 50});  // (0 + 1 + 2 + 7) * 2 / 4 = 5
  EXPECT_EQ(y, 55);
  QMaxPoolRef(a);
  EXPECT_EQ(y, 8);
}

}  // namespace
}  // namespace mezzo
