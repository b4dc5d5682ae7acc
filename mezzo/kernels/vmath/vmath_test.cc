#include "mezzo/kernels/vmath/vmath.h"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

#include "mezzo/kernels/vmath/transpose.h"

namespace mezzo::vmath {
namespace {

// The distance in units of the last place of `want` (at least the smallest subnormal).
double Ulps(float got, double want) {
  if (std::isnan(want) && std::isnan(got)) return 0;
  if (got == static_cast<float>(want)) return 0;
  const float w = static_cast<float>(std::fabs(want));
  const double ulp = w < FLT_MIN ? 0x1p-149 : std::nextafterf(w, INFINITY) - w;
  return std::fabs(got - want) / ulp;
}

// Every 997th float in [lo, hi] of both signs, through `f`, against `exact`.
template <class F, class Exact>
double WorstUlps(float lo, float hi, const F& f, const Exact& exact) {
  double worst = 0;
  const uint32_t first = std::bit_cast<uint32_t>(lo), last = std::bit_cast<uint32_t>(hi);
  for (uint64_t u = first; u <= last; u += 997 * 8) {
    F8 x;
    for (int j = 0; j < 8; ++j)
      x[j] = std::bit_cast<float>(static_cast<uint32_t>(u + 997 * j / 2)) * (j % 2 ? -1.0f : 1.0f);
    const F8 y = f(x);
    for (int j = 0; j < 8; ++j) worst = std::max(worst, Ulps(y[j], exact(x[j])));
  }
  return worst;
}

TEST(VMath, StaysWithinItsUlps) {
  EXPECT_LE(WorstUlps(1e-30f, 88.7f, Exp<F8>, [](double x) { return std::exp(x); }), 2);
  EXPECT_LE(WorstUlps(1e-30f, 80.0f, Sigmoid<F8>, [](double x) { return 1 / (1 + std::exp(-x)); }),
            3);
  EXPECT_LE(WorstUlps(1e-30f, 20.0f, Tanh<F8>, [](double x) { return std::tanh(x); }), 3);
  EXPECT_LE(WorstUlps(1e-30f, 10.0f, Erf<F8>, [](double x) { return std::erf(x); }), 5);
}

TEST(VMath, HandlesTheExtremes) {
  const float inf = std::numeric_limits<float>::infinity(), nan = NAN;
  const F8 x = {inf, -inf, nan, 0.0f, -0.0f, 200.0f, -200.0f, -100.0f};
  const F8 e = Exp(x), s = Sigmoid(x), t = Tanh(x), r = Erf(x);
  EXPECT_EQ(e[0], inf);
  EXPECT_EQ(e[1], 0.0f);
  EXPECT_EQ(e[3], 1.0f);
  EXPECT_EQ(e[5], inf);
  EXPECT_EQ(e[6], 0.0f);
  EXPECT_NEAR(e[7], std::exp(-100.0f), 1.5e-45f);
  for (const F8& y : {e, s, t, r}) EXPECT_TRUE(std::isnan(y[2]));
  for (const F8& y : {t, r}) {
    EXPECT_EQ(y[0], 1.0f);
    EXPECT_EQ(y[1], -1.0f);
    EXPECT_EQ(y[3], 0.0f);
    EXPECT_TRUE(std::signbit(y[4]));
  }
  EXPECT_EQ(s[0], 1.0f);
  EXPECT_EQ(s[1], 0.0f);
}

TEST(VMath, MapDoesNotDependOnPositionAndStopsAtTheEnd) {
  for (size_t n = 0; n < 40; ++n) {
    std::vector<float> x(n), y(n + 1, 7.0f);
    for (size_t i = 0; i < n; ++i) x[i] = 0.37f * static_cast<float>(i % 5) - 0.7f;
    Map(x.data(), y.data(), n, Exp<F8>);
    EXPECT_EQ(y[n], 7.0f);
    for (size_t i = 5; i < n; ++i) EXPECT_EQ(y[i], y[i % 5]);
  }
}

TEST(VMath, TransposesWhatIsThereAndNoMore) {
  for (const int64_t rows : {1, 7, 8, 17, 24})
    for (const int64_t columns : {1, 8, 9, 16}) {
      const int64_t from_stride = columns + 3, to_stride = rows + 2;
      std::vector<float> from(rows * from_stride), to(columns * to_stride, -1.0f);
      for (size_t i = 0; i < from.size(); ++i) from[i] = static_cast<float>(i);
      Transpose(from.data(), from_stride, rows, columns, to.data(), to_stride);
      for (int64_t j = 0; j < columns; ++j)
        for (int64_t i = 0; i < to_stride; ++i)
          ASSERT_EQ(to[j * to_stride + i], i < rows ? from[i * from_stride + j] : -1.0f);
    }
}

}  // namespace
}  // namespace mezzo::vmath
