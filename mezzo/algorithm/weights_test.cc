#include "mezzo/algorithm/weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

double Error(const Node& node, const Tensor& w, const std::vector<float>& scales,
             const Tensor& codes) {
  const WeightRows rows(node, w);
  double error = 0;
  for (int64_t o = 0; o < rows.channels; ++o)
    for (int64_t k = 0; k < rows.depth; ++k) {
      const double d =
          w.data<float>()[rows.At(o, k)] - scales[o] * codes.data<int8_t>()[rows.At(o, k)];
      error += d * d;
    }
  return error;
}

const Node kConv{"Conv", "", "conv", {"x", "w"}, {"y"}, {}};
const Node kMatMul{"MatMul", "", "matmul", {"x", "w"}, {"y"}, {}};

// The worst sum of two products that an instruction adds in 16 bits, for codes of 255, stays below
// 2^15 in both pairings.
TEST(Weights, LimitedPairsNeverSaturate) {
  for (const auto& [node, shape] : {std::pair{kConv, Shape{8, 3, 3, 3}},
                                    {kConv, Shape{8, 16, 3, 3}},
                                    {kMatMul, Shape{65, 8}}}) {
    const Tensor w = NormalTensor(shape, 1);
    const WeightRows rows(node, w);
    const auto scales = WeightScales(node, w, true);
    const Tensor codes = WeightCodes(node, w, scales, true);
    for (int64_t o = 0; o < rows.channels; ++o) {
      const auto code = [&](int64_t k) {
        return static_cast<int>(codes.data<int8_t>()[rows.At(o, k)]);
      };
      const auto check = [&](int64_t k) {
        const int a = code(k), b = code(k + 1);
        if ((a > 0) == (b > 0)) {
          EXPECT_LE(255 * std::abs(a + b), 32767) << o << " " << k;
        }
      };
      for (int64_t k = 0; k + 1 < rows.depth; k += 2) check(k);
      for (int64_t t = 0; t < rows.taps; ++t)
        for (int64_t k = t * rows.inputs; k + 1 < (t + 1) * rows.inputs; k += 2) check(k);
    }
  }
}

TEST(Weights, LimitingCostsFarLessThanABit) {
  const Tensor w = NormalTensor({16, 32, 3, 3}, 2);
  const auto full = WeightScales(kConv, w, false), limited = WeightScales(kConv, w, true);
  std::vector<float> seven_bits = full;
  for (float& s : seven_bits) s *= 127.0f / 63;
  const double e8 = Error(kConv, w, full, WeightCodes(kConv, w, full, false));
  const double e_limited = Error(kConv, w, limited, WeightCodes(kConv, w, limited, true));
  const double e7 = Error(kConv, w, seven_bits, WeightCodes(kConv, w, seven_bits, false));
  EXPECT_GT(e_limited, e8);
  EXPECT_LT(e_limited, 0.6 * e7);
}

TEST(Weights, WithoutLimitTheCodesAreRoundToNearestAtMax) {
  const Tensor w = NormalTensor({4, 2, 1, 1}, 3);
  const auto scales = WeightScales(kConv, w, false);
  const Tensor codes = WeightCodes(kConv, w, scales, false);
  for (int64_t o = 0; o < 4; ++o) {
    const float* row = w.data<float>() + 2 * o;
    EXPECT_EQ(scales[o], std::max(std::fabs(row[0]), std::fabs(row[1])) / 127);
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(codes.data<int8_t>()[2 * o + i], std::nearbyint(row[i] / scales[o]));
  }
}

TEST(Weights, DepthwiseWeightsAndZerosAreLeftAlone) {
  Node depthwise = kConv;
  depthwise.attributes["group"] = int64_t{4};
  const Tensor w = NormalTensor({4, 1, 3, 3}, 4);
  EXPECT_EQ(WeightScales(depthwise, w, true), WeightScales(depthwise, w, false));
  const Tensor zero = Tensor::Zeros(DType::kFloat32, {2, 2, 1, 1});
  for (const float s : WeightScales(kConv, zero, true)) EXPECT_GT(s, 0);
}

}  // namespace
}  // namespace mezzo
