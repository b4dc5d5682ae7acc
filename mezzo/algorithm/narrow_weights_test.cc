#include "mezzo/algorithm/narrow_weights.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "mezzo/algorithm/correlated_test.h"

namespace mezzo {
namespace {

std::vector<WeightFormat> NarrowFormats() {
  std::vector<WeightFormat> formats;
  for (const WeightFormat& f : AllWeightFormats())
    if (f.narrow()) formats.push_back(f);
  return formats;
}

const WeightFormat& Format(const char* name) { return *FindWeightFormat(name); }

// A layer with 64 inputs that correlate.
struct Example {
  Node node{"MatMul", "", "product", {"x", "w"}, {"y"}, {}};
  Tensor weight = NormalTensor({64, 40}, 4);
  Moments moments{64, 500, {CorrelatedSums(64, 500)}};
  RoundingBasis basis{moments, {}};

  NarrowWeights Quantize(const WeightFormat& f, int64_t group, bool correct,
                         size_t threads = 1) const {
    return QuantizeWeights(node, weight, f, group, true, correct ? &basis : nullptr,
                           Threads(threads));
  }
  // e^T H e for one column, in double precision.
  double WeightedError(const NarrowWeights& q) const {
    const Tensor real = DequantizeWeights(node, weight, q);
    const auto e = [&](int64_t k, int64_t o) {
      return double{weight.data<float>()[k * 40 + o]} - real.data<float>()[k * 40 + o];
    };
    double sum = 0;
    for (int64_t o = 0; o < 40; ++o)
      for (int64_t a = 0; a < 64; ++a)
        for (int64_t b = 0; b < 64; ++b) sum += e(a, o) * e(b, o) * basis.hessians[0][a * 64 + b];
    return sum / 500;
  }
};

TEST(QuantizeWeights, ErrorCorrectionLeavesAFractionOfTheErrorOfTheNearestCodes) {
  const Example e;
  for (const WeightFormat& f : NarrowFormats())
    for (const int64_t group : {0, 32}) {
      const NarrowWeights nearest = e.Quantize(f, group, false),
                          corrected = e.Quantize(f, group, true);
      const double share = f.bits == 2 ? 0.5 : 0.35;
      EXPECT_LT(e.WeightedError(corrected), share * e.WeightedError(nearest)) << f.name << group;
      EXPECT_NEAR(corrected.weighted_error, e.WeightedError(corrected),
                  1e-4 * e.WeightedError(nearest));
      EXPECT_LT(nearest.error, corrected.error);
      EXPECT_EQ(nearest.error, nearest.weighted_error);
    }
}

TEST(QuantizeWeights, EachBitGroupsAndLevelsFinerNearZeroGain) {
  const Example e;
  const auto error = [&](const char* name, int64_t group) {
    return e.Quantize(Format(name), group, true).weighted_error;
  };
  for (const int64_t group : {0, 32}) {
    EXPECT_LT(error("nf6", group), 0.4 * error("nf5", group));
    EXPECT_LT(error("nf5", group), 0.4 * error("nf4", group));
    EXPECT_LT(error("nf4", group), 0.4 * error("nf3", group));
    EXPECT_LT(error("nf3", group), 0.4 * error("nf2", group));
    EXPECT_LT(error("nf4", group), 0.9 * error("int4", group));
    EXPECT_LT(error("nf3", group), 0.95 * error("int3", group));
  }
  EXPECT_LT(error("nf4", 16), 0.9 * error("nf4", 0));
  EXPECT_LT(error("int8", 0), 0.2 * error("nf6", 0));
}

TEST(QuantizeWeights, WithoutCorrelationsItRoundsToTheNearest) {
  Example e;
  for (int64_t a = 0; a < 64; ++a)
    for (int64_t b = 0; b < 64; ++b) e.moments.sums[0][a * 64 + b] = a == b ? 500.0f : 0.0f;
  e.basis = RoundingBasis(e.moments, {});
  for (const WeightFormat& f : AllWeightFormats())
    for (const int64_t group : {0, 16}) {
      if (group && !f.narrow()) continue;
      const NarrowWeights q = QuantizeWeights(e.node, e.weight, f, group, false, &e.basis, {});
      const Tensor nearest = f.narrow()
                                 ? NearestCodes(e.node, e.weight, f, group, q.steps, q.scales)
                                 : WeightCodes(e.node, e.weight, q.scales, false);
      for (int64_t i = 0; i < e.weight.numel(); ++i)
        ASSERT_EQ(q.codes[i], nearest.data<int8_t>()[i]) << f.name << " " << group << " " << i;
    }
}

// Convolutions of all kinds: every weight is a level of its group's step, and no pair saturates
// what adds two products of bytes in 16 bits.
TEST(QuantizeWeights, EveryWeightIsALevelAndNoPairSaturates) {
  Node conv{"Conv", "", "conv", {"x", "w"}, {"y"}, {}},
      grouped = conv, depthwise = conv,
      gemm{"Gemm", "", "gemm", {"x", "w"}, {"y"}, {{"transB", int64_t{1}}}};
  grouped.attributes["group"] = int64_t{2};
  depthwise.attributes["group"] = int64_t{6};
  for (const auto& [node, shape] : {std::pair{conv, Shape{9, 32, 3, 3}},
                                    {conv, Shape{5, 3, 5, 5}},
                                    {grouped, Shape{6, 16, 1, 3}},
                                    {depthwise, Shape{6, 1, 3, 3}},
                                    {gemm, Shape{10, 33}}}) {
    Tensor weight = NormalTensor(shape, 7);
    for (int64_t i = 0; i < weight.numel() / shape[0]; ++i) weight.data<float>()[i] = 0;
    const WeightRows rows(node, weight);
    for (const WeightFormat& f : NarrowFormats())
      for (const int64_t asked : {0, 16}) {
        const int64_t group = GroupSize(node, weight, f, asked);
        const NarrowWeights q = QuantizeWeights(node, weight, f, group, true, nullptr, Threads(2));
        ASSERT_EQ(q.steps.empty(), group == 0);
        for (int64_t o = 0; o < rows.channels; ++o)
          for (int64_t k = 0; k < rows.depth; ++k) {
            std::vector<int8_t> levels = Levels(f);
            if (group) levels = Levels(f, q.steps.at(o * (rows.depth / group) + k / group));
            const int8_t w8 = q.codes[rows.At(o, k)];
            ASSERT_NE(std::find(levels.begin(), levels.end(), w8), levels.end());
            if (k == 0) continue;
            const int8_t before = q.codes[rows.At(o, k - 1)];
            ASSERT_LE(255 * std::abs(w8 + before), 32767);
          }
        for (const float scale : q.scales) EXPECT_GE(scale, __FLT_MIN__);
        EXPECT_LT(std::fabs(DequantizeWeights(node, weight, q).data<float>()[0]), 1e-30f);
      }
  }
}

TEST(QuantizeWeights, ChannelsOfAGroupedConvolutionUseTheirGroupsMoments) {
  Node node{"Conv", "", "conv", {"x", "w"}, {"y"}, {{"group", int64_t{2}}}};
  const Tensor weight = NormalTensor({8, 32, 1, 1}, 5);
  Moments moments{32, 400, {CorrelatedSums(32, 400), CorrelatedSums(32, 400)}};
  for (float& v : moments.sums[1]) v = 0;
  for (int64_t i = 0; i < 32; ++i) moments.sums[1][i * 33] = 1;
  const RoundingBasis basis(moments, {});
  const NarrowWeights q = QuantizeWeights(node, weight, Format("nf4"), 0, true, &basis, {});
  const Tensor nearest = NearestCodes(node, weight, Format("nf4"), 0, {}, q.scales);
  const auto differ = [&](int64_t begin, int64_t end) {
    int64_t n = 0;
    for (int64_t i = begin; i < end; ++i) n += q.codes[i] != nearest.data<int8_t>()[i];
    return n;
  };
  EXPECT_GE(differ(0, 4 * 32), 20);
  EXPECT_EQ(differ(4 * 32, 8 * 32), 0);
}

TEST(QuantizeWeights, TheResultDoesNotDependOnThreads) {
  const Example e;
  for (const int64_t group : {0, 16}) {
    const NarrowWeights one = e.Quantize(Format("nf3"), group, true, 1),
                        three = e.Quantize(Format("nf3"), group, true, 3);
    EXPECT_EQ(one.codes, three.codes);
    EXPECT_EQ(one.scales, three.scales);
    EXPECT_EQ(one.steps, three.steps);
    EXPECT_EQ(one.weighted_error, three.weighted_error);
  }
}

TEST(GroupSize, DividesTheInputsOfATap) {
  const Node conv{"Conv", "", "conv", {"x", "w"}, {"y"}, {}};
  const auto size = [&](Shape shape, int64_t asked, const char* format = "nf4") {
    return GroupSize(conv, Tensor(DType::kFloat32, shape), Format(format), asked);
  };
  EXPECT_EQ(size({8, 64, 1, 1}, 32), 32);
  EXPECT_EQ(size({8, 112, 1, 1}, 32), 28);
  EXPECT_EQ(size({8, 16, 3, 3}, 32), 16);  // each tap is a group
  EXPECT_EQ(size({8, 16, 1, 1}, 32), 0);   // one group would be the channel
  EXPECT_EQ(size({8, 3, 3, 3}, 32), 0);
  EXPECT_EQ(size({8, 37, 1, 1}, 32), 0);
  EXPECT_EQ(size({8, 64, 1, 1}, 0), 0);
  EXPECT_EQ(size({8, 64, 1, 1}, 32, "int8"), 0);
}

}  // namespace
}  // namespace mezzo
