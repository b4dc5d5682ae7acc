#include "mezzo/kernels/qelementwise/qelementwise.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "mezzo/base/cpu.h"

namespace mezzo {
namespace {

QBinaryParams RandomParams(std::mt19937& rng, bool y_signed) {
  QBinaryParams p;
  p.multiply = rng() % 2;
  p.a_ratio = static_cast<float>(rng() % 200) / 128.0f;  // sums often lie on halves
  p.b_ratio = static_cast<float>(rng() % 200) / 128.0f;
  p.a_zero = static_cast<int32_t>(rng() % 256);
  p.b_zero = static_cast<int32_t>(rng() % 256);
  p.y_zero = y_signed ? -128 : static_cast<int32_t>(rng() % 256);
  p.lo = y_signed ? -128 : 3;
  p.hi = y_signed ? 127 : 250;
  return p;
}

TEST(QBinary, EqualsReferenceOnEveryTail) {
  std::mt19937 rng(3);
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (size_t n = 0; n <= 70; ++n)
      for (size_t steps = 0; steps < 4; ++steps) {
        std::vector<uint8_t> a(n + 1), b(n + 1), want(n), got(n + 1, 0xa5);
        for (uint8_t& v : a) v = static_cast<uint8_t>(rng());
        for (uint8_t& v : b) v = rng() % 2 ? 255 : 0;
        const QBinaryParams p = RandomParams(rng, rng() % 2);
        QBinaryArgs args{{a.data(), rng() % 2 != 0},
                         {b.data(), rng() % 2 != 0},
                         steps & 1,
                         steps >> 1,
                         want.data(),
                         n};
        QBinaryRef(args, p);
        args.y = got.data();
        QBinary(args, p);
        ASSERT_EQ(got.back(), 0xa5) << "canary";
        got.pop_back();
        ASSERT_EQ(got, want) << Name(isa) << " n " << n;
      }
  }
}

// 0.5 * 1 + 0.25 * 8 = 2.5 to the even 2; as a product 0.5 * 8 = 4.
TEST(QBinary, ReferenceFollowsTheFormula) {
  const uint8_t a = 11, b = 20;
  uint8_t y = 0;
  QBinaryParams p{false, 0.5f, 0.25f, 10, 12, 100};
  QBinaryRef({{&a, false}, {&b, false}, 1, 1, &y, 1}, p);
  EXPECT_EQ(y, 102);
  p.multiply = true;
  QBinaryRef({{&a, false}, {&b, false}, 1, 1, &y, 1}, p);
  EXPECT_EQ(y, 104);
}

}  // namespace
}  // namespace mezzo
