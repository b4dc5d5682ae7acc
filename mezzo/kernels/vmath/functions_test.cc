#include "mezzo/kernels/vmath/functions.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo::vmath {
namespace {

using Kind = Step::Kind;

std::vector<float> Random(size_t n) {
  std::mt19937 rng(static_cast<unsigned>(n));
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng);
  if (n > 2) x[n / 2] = -0.0f, x[n - 1] = 40.0f;
  return x;
}

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// x / sqrt(2) -> Erf -> + 1 -> * x -> * 0.5, as exporters write it, and the same by single maps.
TEST(RunSteps, EqualsOneMapAfterAnotherOnAllSets) {
  const std::vector<Step> gelu = {{Kind::kDiv, 0, Step::kConstant, 1.41421354f},
                                  {Kind::kErf, 1},
                                  {Kind::kAdd, 2, Step::kConstant, 1.0f},
                                  {Kind::kMul, 0, 3},
                                  {Kind::kMul, Step::kConstant, 4, 0.5f}};
  for (const size_t n : {1, 7, 8, 15, 16, 17, 255, 256, 257, 1000}) {
    const std::vector<float> x = Random(n);
    std::vector<float> want(n);
    Map(x.data(), want.data(), n, [](F8 v) { return 0.5f * (v * (Erf(v / 1.41421354f) + 1.0f)); });
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      std::vector<float> got = x;
      RunSteps(gelu, got.data(), got.data(), n);
      EXPECT_TRUE(SameBits(got, want)) << n << " " << Name(isa);
    }
  }
}

// x / sqrt(2) -> Erf -> + 1 -> * x -> * 0.5 in registers, and one more step behind it, in blocks.
TEST(RunSteps, GeluInRegistersIsTheSameSteps) {
  std::vector<Step> gelu = {{Kind::kDiv, 0, Step::kConstant, 1.41421354f},
                            {Kind::kErf, 1},
                            {Kind::kAdd, Step::kConstant, 2, 1.0f},
                            {Kind::kMul, 3, 0},
                            {Kind::kMul, 4, Step::kConstant, 0.5f}};
  std::vector<float> x = Random(300);
  x[5] = NAN, x[6] = INFINITY, x[7] = -INFINITY, x[8] = 1e-40f, x[9] = 0;
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    std::vector<float> one(x.size()), two(x.size());
    RunSteps(gelu, x.data(), one.data(), x.size());
    std::vector<Step> more = gelu;
    more.push_back({Kind::kMul, 5, Step::kConstant, 1.0f});
    RunSteps(more, x.data(), two.data(), x.size());
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_TRUE(one[i] == two[i] || (one[i] != one[i] && two[i] != two[i])) << i << Name(isa);
  }
}

TEST(Rows, MomentsAndNormalizationAreTheSameOnAllSets) {
  for (const size_t n : {1, 7, 16, 17, 40, 384}) {
    const std::vector<float> x = Random(n), scale(x.rbegin(), x.rend());
    std::vector<float> want(n);
    const double mean = SumOf(x.data(), n) / static_cast<double>(n);
    const double squares = SumOf(x.data(), n, [](auto v) { return v * v; });
    Map2(x.data(), scale.data(), want.data(), n, [](F8 v, F8 s) { return (v - 0.5f) * 3 * s; });
    Map2(want.data(), x.data(), want.data(), n, [](F8 v, F8 b) { return v + b; });
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      const Moments m = MomentsOf(x.data(), n);
      EXPECT_EQ(m.mean, mean) << n << Name(isa);
      EXPECT_NEAR(m.variance, squares / static_cast<double>(n) - mean * mean, 1e-5 * squares);
      EXPECT_EQ(SquaresOf(x.data(), n), squares) << n << Name(isa);
      std::vector<float> got(n);
      Normalize(x.data(), 0.5f, 3, scale.data(), x.data(), got.data(), n);
      EXPECT_TRUE(SameBits(got, want)) << n << Name(isa);
      Normalize(x.data(), 0, 3, nullptr, nullptr, got.data(), n);
      EXPECT_EQ(got[n - 1], 3 * x[n - 1]);
    }
  }
}

TEST(SiluTimes, EqualsItsFormulaOnAllSets) {
  for (const size_t n : {1, 8, 15, 16, 17, 1000}) {
    const std::vector<float> gate = Random(n), up(gate.rbegin(), gate.rend());
    std::vector<float> want(n);
    Map2(gate.data(), up.data(), want.data(), n, [](F8 g, F8 u) { return g * Sigmoid(g) * u; });
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      std::vector<float> got = gate;
      SiluTimes(got.data(), up.data(), got.data(), n);
      EXPECT_TRUE(SameBits(got, want)) << n << " " << Name(isa);
    }
  }
}

TEST(RunSteps, EveryKindEqualsItsFormula) {
  const std::vector<float> x = Random(100);
  const auto expect = [&](Step step, auto f) {
    std::vector<float> want(x.size()), got(x.size());
    Map(x.data(), want.data(), x.size(), f);
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      RunSteps({&step, 1}, x.data(), got.data(), x.size());
      for (size_t i = 0; i < x.size(); ++i)
        EXPECT_TRUE(got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i])))
            << static_cast<int>(step.kind) << " of " << x[i];
    }
  };
  expect({Kind::kAdd, 0, 0}, [](F8 v) { return v + v; });
  expect({Kind::kSub, Step::kConstant, 0, 2.0f}, [](F8 v) { return 2.0f - v; });
  expect({Kind::kMul, 0, 0}, [](F8 v) { return v * v; });
  expect({Kind::kDiv, Step::kConstant, 0, 2.0f}, [](F8 v) { return 2.0f / v; });
  expect({Kind::kErf}, Erf<F8>);
  expect({Kind::kExp}, Exp<F8>);
  expect({Kind::kSigmoid}, Sigmoid<F8>);
  expect({Kind::kTanh}, Tanh<F8>);
  expect({Kind::kSqrt}, Sqrt);
  expect({Kind::kNeg}, [](F8 v) { return -v; });
}

// Every 9973rd number, by divisors of all kinds.
TEST(RunSteps, DividesAsDivisionRounds) {
  std::vector<float> x(32);  // zeros alone
  for (size_t i = 0; i < x.size(); i += 3) x[i] = -0.0f;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += 9973)
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  std::vector<float> got(x.size());
  for (const float c :
       {1.41421354f, 8.0f, 3.0f, -0.7f, 5.65685415f, 1.99999988f, 1e-30f, 1e30f, 0.0f, INFINITY}) {
    const Step step{Kind::kDiv, 0, Step::kConstant, c};
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      RunSteps({&step, 1}, x.data(), got.data(), x.size());
      size_t wrong = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const float want = x[i] / c;
        wrong += std::bit_cast<uint32_t>(got[i]) != std::bit_cast<uint32_t>(want) &&
                 !(std::isnan(got[i]) && std::isnan(want));
      }
      EXPECT_EQ(wrong, 0u) << c << " " << Name(isa);
    }
  }
}

TEST(SoftmaxRow, IsTheSameOnAllSets) {
  for (const size_t n : {1, 3, 8, 13, 16, 31, 128, 1000}) {
    const std::vector<float> x = Random(n);
    std::vector<float> want(n);
    const float top = MaxOf(x.data(), n, -INFINITY);
    Map(x.data(), want.data(), n, [&](F8 v) { return Exp(v - top); });
    const auto scale = static_cast<float>(1 / SumOf(want.data(), n));
    Map(want.data(), want.data(), n, [&](F8 v) { return v * scale; });
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      std::vector<float> got = x;
      SoftmaxRow(got.data(), got.data(), n);
      EXPECT_TRUE(SameBits(got, want)) << n << " " << Name(isa);
      std::vector<float> rows, wanted;
      for (size_t r = 0; r < 11; ++r) {
        rows.insert(rows.end(), x.begin(), x.end());
        wanted.insert(wanted.end(), want.begin(), want.end());
      }
      SoftmaxRows(rows.data(), rows.data(), 11, n);
      EXPECT_TRUE(SameBits(rows, wanted)) << n << " " << Name(isa);
    }
  }
}

TEST(SoftmaxRows, ScalesAndMasksAsOneStepAfterAnother) {
  constexpr size_t kRows = 11;
  for (const size_t n : {1, 13, 16, 100})
    for (const auto kind : {Kind::kMul, Kind::kDiv}) {
      const Step scaling{kind, 0, Step::kConstant, 1.7f};
      const std::vector<float> x = Random(kRows * n), mask = Random(2 * n);
      const float* masks[kRows];
      std::vector<float> want = x;
      RunSteps({&scaling, 1}, want.data(), want.data(), want.size());
      for (size_t r = 0; r < kRows; ++r) {
        masks[r] = mask.data() + r % 2 * n;
        Map2(&want[r * n], masks[r], &want[r * n], n, [](F8 v, F8 m) { return v + m; });
      }
      SoftmaxRows(want.data(), want.data(), kRows, n);
      for (const Isa isa : SupportedIsas()) {
        const ScopedIsa scoped(isa);
        std::vector<float> got = x;
        SoftmaxRows(got.data(), got.data(), kRows, n, {&scaling, masks});
        EXPECT_TRUE(SameBits(got, want)) << n << " " << Name(isa);
      }
    }
}

}  // namespace
}  // namespace mezzo::vmath
