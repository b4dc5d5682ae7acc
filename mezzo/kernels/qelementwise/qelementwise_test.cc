#include "mezzo/kernels/qelementwise/qelementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <iterator>
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

TEST(QLut, LooksUpEveryCodeOnEveryTail) {
  std::mt19937 rng(4);
  QTable table;
  for (uint8_t& v : table) v = static_cast<uint8_t>(rng());
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (size_t n = 0; n <= 300; ++n) {
      std::vector<uint8_t> x(n), y(n + 1, 0xa5);
      for (size_t i = 0; i < n; ++i) x[i] = static_cast<uint8_t>(i);
      QLut(x.data(), table, y.data(), n);
      for (size_t i = 0; i < n; ++i) ASSERT_EQ(y[i], table[x[i]]) << Name(isa) << " " << i;
      EXPECT_EQ(y[n], 0xa5) << "canary";
    }
  }
}

TEST(QLutChannels, LooksUpEachChannelInItsOwnTable) {
  std::mt19937 rng(6);
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (const size_t channels : {1, 15, 16, 17, 40, 80})
      for (const size_t rows : {1, 5, 63, 64, 65, 130}) {
        std::vector<uint8_t> tables(256 * channels), x(channels * rows), y(x.size() + 1, 0xa5);
        for (uint8_t& v : tables) v = static_cast<uint8_t>(rng());
        for (uint8_t& v : x) v = static_cast<uint8_t>(rng());
        QLutChannels(x.data(), tables.data(), channels, y.data(), rows);
        for (size_t i = 0; i < x.size(); ++i)
          ASSERT_EQ(y[i], tables[256 * (i % channels) + x[i]]) << Name(isa) << " " << i;
        EXPECT_EQ(y.back(), 0xa5) << "canary";
      }
  }
}

TEST(Quantize, EqualsReferenceOnEveryTail) {
  std::mt19937 rng(5);
  const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, -0.0f, 1e-45f};
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (size_t n = 0; n <= 70; ++n) {
      const bool is_signed = rng() % 2;
      const QScale s{static_cast<float>(rng() % 100 + 1) / 64.0f,
                     static_cast<int32_t>(rng() % 256) - (is_signed ? 128 : 0), is_signed};
      std::vector<float> x(n), back(n), want_back(n);
      for (float& v : x)  // many halves of steps
        v = rng() % 8
                ? static_cast<float>(static_cast<int32_t>(rng() % 1200) - 600) * 0.5f * s.scale
                : odd[rng() % std::size(odd)];
      std::vector<uint8_t> want(n), got(n + 1, 0xa5);
      QuantizeRef(x.data(), s, want.data(), n);
      Quantize(x.data(), s, got.data(), n);
      ASSERT_EQ(got.back(), 0xa5) << "canary";
      got.pop_back();
      ASSERT_EQ(got, want) << Name(isa) << " n " << n;
      DequantizeRef(got.data(), s, want_back.data(), n);
      Dequantize(got.data(), s, back.data(), n);
      ASSERT_EQ(back, want_back);
    }
  }
}

// Numbers at the halves of steps and just beside them, where a product with 1 / scale would round
// another way than the quotient.
TEST(Quantize, DividesNearTheHalvesOfSteps) {
  std::mt19937 rng(12);
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (int round = 0; round < 300; ++round) {
      const QScale s{std::ldexp(static_cast<float>(rng() % 0xffffff + 1), -30), 100, false};
      std::vector<float> x(256);
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = (static_cast<float>(i) - 99.5f) * s.scale;
        for (int steps = static_cast<int>(rng() % 5) - 2; steps != 0; steps += steps < 0 ? 1 : -1)
          x[i] = std::nextafter(x[i], steps < 0 ? -INFINITY : INFINITY);
      }
      std::vector<uint8_t> want(x.size()), got(x.size());
      QuantizeRef(x.data(), s, want.data(), x.size());
      Quantize(x.data(), s, got.data(), x.size());
      ASSERT_EQ(got, want) << Name(isa) << " scale " << s.scale;
    }
  }
}

// 2.5 and 3.5 steps round to the even 2 and 4.
TEST(Quantize, ReferenceFollowsTheFormula) {
  const std::vector<float> x{5, 7, NAN, 1e9f, -1e9f};
  std::vector<uint8_t> y(x.size());
  QuantizeRef(x.data(), {2, 10, false}, y.data(), x.size());
  EXPECT_EQ(y, (std::vector<uint8_t>{12, 14, 10, 255, 0}));
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
