#include "mezzo/algorithm/llm/group_rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// Inputs that correlate, some far larger than others.
Tensor Inputs(int64_t rows, int64_t depth) {
  Tensor x = NormalTensor({rows, depth}, 1);
  const std::vector<float> common = NormalValues(rows, 2);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < depth; ++i)
      x.data<float>()[r * depth + i] =
          (x.data<float>()[r * depth + i] + common[r]) * (i % 7 == 0 ? 4.0f : 1.0f);
  return x;
}

Hessian HessianOf(const Tensor& x) {
  Hessian h(x.dim(1));
  h.Add(x, Threads(2));
  return h;
}

// Squared error of the outputs.
double Error(const Tensor& w, const Tensor& rounded, const Tensor& x) {
  double sum = 0;
  for (int64_t r = 0; r < x.dim(0); ++r)
    for (int64_t o = 0; o < w.dim(0); ++o) {
      double y = 0;
      for (int64_t i = 0; i < w.dim(1); ++i)
        y += double(w.data<float>()[o * w.dim(1) + i] - rounded.data<float>()[o * w.dim(1) + i]) *
             x.data<float>()[r * w.dim(1) + i];
      sum += y * y;
    }
  return sum;
}

// Inputs are rounded to 2047 steps of their largest magnitude in 512 rows.
TEST(Hessian, IsTheSumOfProductsWhateverTheThreads) {
  const int64_t d = 83;
  for (const int64_t rows : {1, 37, 512, 1100}) {
    Tensor x = Inputs(rows, d);
    for (int64_t r = 0; r < rows; ++r) x.data<float>()[r * d + 70] = 0;
    Hessian one(d), four(d);
    one.Add(x, {});
    four.Add(x, Threads(4));
    const auto at = [&](int64_t r, int64_t i) { return double{x.data<float>()[r * d + i]}; };
    std::vector<double> step(d), size(d);
    for (int64_t i = 0; i < d; ++i)
      for (int64_t r = 0; r < rows; ++r) {
        step[i] = std::max(step[i], std::fabs(at(r, i)) / 2047);
        size[i] += std::fabs(at(r, i));
      }
    double error = 0, power = 0;
    for (int64_t i = 0; i < d; ++i)
      for (int64_t j = 0; j < d; ++j) {
        double want = 0;
        for (int64_t r = 0; r < rows; ++r) want += at(r, i) * at(r, j);
        const double most = (size[i] * step[j] + size[j] * step[i] + rows * step[i] * step[j]) / 2;
        ASSERT_NEAR(one.At(i, j), want, most + 1e-5 * std::fabs(want));
        ASSERT_EQ(one.At(i, j), four.At(i, j));
        error += (one.At(i, j) - want) * (one.At(i, j) - want), power += want * want;
      }
    EXPECT_LT(error, 1e-6 * power) << rows;
    EXPECT_EQ(one.At(70, 3), 0);
  }
}

TEST(Hessian, SumsOfTheLargestCodesAreExact) {
  Tensor x(DType::kFloat32, {512, 20});
  for (int64_t i = 0; i < x.numel(); ++i) x.data<float>()[i] = i % 20 == 7 ? -2047.0f : 2047.0f;
  const Hessian h = HessianOf(x);
  EXPECT_EQ(h.At(3, 3), 512.0f * 2047 * 2047);
  EXPECT_EQ(h.At(3, 7), -512.0f * 2047 * 2047);
}

TEST(Hessian, NanStaysInItsInput) {
  Tensor x = Inputs(30, 40);
  x.data<float>()[5 * 40 + 17] = NAN;
  const Hessian h = HessianOf(x);
  EXPECT_TRUE(std::isnan(h.At(17, 17)) && std::isnan(h.At(17, 3)));
  EXPECT_FALSE(std::isnan(h.At(18, 16)));
}

TEST(Hessian, FactorOfTheInverseInAnyOrder) {
  const int64_t d = 150;  // blocks of 64, and a rest
  const Hessian h = HessianOf(Inputs(400, d));
  std::vector<int64_t> order(d);
  for (int64_t i = 0; i < d; ++i) order[i] = (i * 7) % d;
  const std::vector<float> ut = InverseFactor(h, order, 0.01, Threads(3));
  double mean = 0;
  for (int64_t i = 0; i < d; ++i) mean += h.At(i, i) / double(d);
  // H (U^T U) = 1, row by row.
  for (int64_t a = 0; a < d; a += 11)
    for (int64_t b = 0; b < d; ++b) {
      double sum = 0;
      for (int64_t k = 0; k < d; ++k) {
        double inverse = 0;  // (U^T U)[k, b] = sum_i Ut[k, i] Ut[b, i]
        for (int64_t i = 0; i <= std::min(k, b); ++i)
          inverse += double(ut[k * d + i]) * ut[b * d + i];
        sum += (h.At(order[a], order[k]) + (a == k ? 0.01 * mean : 0)) * inverse;
      }
      EXPECT_NEAR(sum, a == b ? 1 : 0, 2e-3) << a << "," << b;
    }
}

TEST(Hessian, ADeadInputAndTooFewRowsCanBeFactored) {
  Tensor x = NormalTensor({3, 40}, 5);
  for (int64_t r = 0; r < 3; ++r) x.data<float>()[r * 40 + 17] = 0;
  const Hessian h = HessianOf(x);
  std::vector<int64_t> order(40);
  std::iota(order.begin(), order.end(), 0);
  double used = 0;
  for (const float v : InverseFactor(h, order, 0.01, {}, &used)) EXPECT_TRUE(std::isfinite(v));
  EXPECT_GE(used, 0.01);
  Tensor nan = x.Clone();
  nan.data<float>()[0] = NAN;
  EXPECT_THROW(InverseFactor(HessianOf(nan), order, 0.01, {}), UsageError);
}

struct Case {
  const char* codes;
  bool zero_points, fp8, double_quant = false;
};

class GroupRoundingTest : public testing::TestWithParam<Case> {
 protected:
  GroupFormat Format() const {
    const Case c = GetParam();
    GroupFormat f{FindCodebook(c.codes), 32, c.zero_points, {}};
    if (c.fp8) f.fp8 = kE4M3FN;
    f.double_quant = c.double_quant;
    return f;
  }
};

TEST_P(GroupRoundingTest, BeatsRoundingToNearestAndIsTheSameForAnyThreads) {
  const Tensor x = Inputs(300, 96), w = NormalTensor({21, 96}, 3);
  const Hessian h = HessianOf(x);
  GroupRounding how{Format()};
  const GroupCodes got = RoundGroups(w, h, how, {}), threads = RoundGroups(w, h, how, Threads(3));
  EXPECT_EQ(got.codes, threads.codes);
  EXPECT_EQ(got.scales, threads.scales);
  how.correct = false;
  const GroupCodes nearest = RoundGroups(w, h, how, {});
  EXPECT_LT(Error(w, got.Dequantize(), x), 0.6 * Error(w, nearest.Dequantize(), x));
}

// Given its scales, the loop written plainly in double takes nearly the same codes.
TEST_P(GroupRoundingTest, CodesAreThoseOfThePlainLoop) {
  const int64_t d = 96;
  const Tensor x = Inputs(300, d), w = NormalTensor({5, d}, 4);
  const Hessian h = HessianOf(x);
  GroupRounding how{Format()};
  how.reorder = false;
  const GroupCodes got = RoundGroups(w, h, how, {});
  std::vector<int64_t> order(d);
  std::iota(order.begin(), order.end(), 0);
  const std::vector<float> ut = InverseFactor(h, order, how.damping, {});
  int64_t differ = 0;
  for (int64_t o = 0; o < 5; ++o) {
    std::vector<double> row(w.data<float>() + o * d, w.data<float>() + (o + 1) * d);
    for (int64_t k = 0; k < d; ++k) {
      const int64_t g = o * got.groups() + k / 32;
      const auto value = [&](int code) {
        return double(got.outer) *
               got.format.Value(got.scales[g], code, got.zeros.empty() ? 0 : got.zeros[g]);
      };
      int best = 0;
      for (int c = 1; c < 16; ++c)
        if (std::fabs(row[k] - value(c)) < std::fabs(row[k] - value(best))) best = c;
      // Goes on from the code that was taken, so that one tie does not count many times.
      const int taken = got.codes[o * d + k];
      differ += std::fabs(value(best) - value(taken)) > 1e-6;
      const double e = (row[k] - value(taken)) / ut[k * d + k];
      for (int64_t i = k + 1; i < d; ++i) row[i] -= e * ut[i * d + k];
    }
  }
  EXPECT_LE(differ, 2);
}

INSTANTIATE_TEST_SUITE_P(
    Formats, GroupRoundingTest,
    testing::Values(Case{"int4", false, false}, Case{"int4", false, true}, Case{"int4", true, true},
                    Case{"nf4", false, true}, Case{"iq4nl", false, false},
                    Case{"nf4", false, false, true}, Case{"int4", true, true, true}),
    [](const auto& p) {
      return Cat(p.param.codes, p.param.zero_points ? "_zero_points" : "",
                 p.param.fp8 ? "_fp8" : "", p.param.double_quant ? "_double_quant" : "");
    });

// Rows whose sizes differ by up to 2^6 keep their scales to a 64th; one of zeros and one far below
// the others are no trouble.
TEST(GroupRounding, DoubleQuantizedScalesAreCodesAndLoseLittle) {
  const Tensor x = Inputs(300, 96);
  Tensor w = NormalTensor({20, 96}, 3);
  for (int64_t i = 0; i < w.numel(); ++i)
    w.data<float>()[i] *= i < 96 ? 0 : i < 2 * 96 ? 1e-6f : std::exp2(-float(i / 96 % 7));
  const Hessian h = HessianOf(x);
  GroupRounding how;
  how.format = {FindCodebook("nf4"), 32, false, {}};
  const double plain = Error(w, RoundGroups(w, h, how, {}).Dequantize(), x);
  how.format.double_quant = true;
  const GroupCodes got = RoundGroups(w, h, how, {});
  EXPECT_LT(Error(w, got.Dequantize(), x), 1.05 * plain);
  for (const float s : got.scales)
    EXPECT_EQ(got.unit * UnsignedE3M5ToFloat(FloatToUnsignedE3M5(s / got.unit)), s);
}

TEST(GroupRounding, RefusesWhatItCannotRound) {
  const Hessian h = HessianOf(Inputs(50, 48));
  EXPECT_THROW(RoundGroups(NormalTensor({4, 48}, 1), h, {}, {}), UsageError);  // groups of 64
  Tensor w = NormalTensor({4, 48}, 1);
  w.data<float>()[5] = NAN;
  GroupRounding how;
  how.format.group = 16;
  EXPECT_THROW(RoundGroups(w, h, how, {}), UsageError);
}

TEST(Fp8, RoundsToTheNearestOfAllValues) {
  std::vector<float> all;
  for (int b = 0; b < 128; ++b)
    if (b != 127) all.push_back(Fp8E4M3ToFloat(static_cast<uint8_t>(b)));
  for (float x = 0; x < 600; x += x < 1 ? 0.00037f : 0.11f) {
    float best = all[0];
    for (const float v : all)
      if (std::fabs(x - v) < std::fabs(x - best)) best = v;
    const float got = RoundToFp8(kE4M3FN, x);
    EXPECT_EQ(std::fabs(x - got), std::fabs(x - best)) << x;
    EXPECT_EQ(RoundToFp8(kE4M3FN, -x), -got);
  }
  EXPECT_EQ(RoundToFp8(kE4M3FN, 1.0625f), 1.0f);  // ties to even
  EXPECT_EQ(RoundToFp8(kE4M3FNUZ, 1e9f), 240);
  EXPECT_EQ(RoundToFp8(kE4M3FNUZ, 0x1p-10f), 0x1p-10f);
}

}  // namespace
}  // namespace mezzo
