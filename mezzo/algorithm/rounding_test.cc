#include "mezzo/algorithm/rounding.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/correlated_test.h"
#include "mezzo/algorithm/planned_codes.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

TEST(FactorMoments, ItsSquareIsTheShrunkDampedMatrix) {
  const int64_t d = 19, columns = 200;
  const std::vector<float> h = CorrelatedSums(d, columns);
  const std::vector<float> l = FactorMoments(DampMoments(h, d, columns), d, Threads(2));
  double trace = 0;
  for (int64_t i = 0; i < d; ++i) trace += h[i * d + i];
  for (int64_t a = 0; a < d; ++a)
    for (int64_t b = 0; b < d; ++b) {
      double sum = 0;
      for (int64_t k = 0; k < d; ++k) sum += static_cast<double>(l[k * d + a]) * l[k * d + b];
      const double want =
          a == b ? h[a * d + a] + 0.01 * trace / d : h[a * d + b] * double(columns) / (columns + d);
      EXPECT_NEAR(sum, want, 1e-4 * trace / d) << a << "," << b;
      if (b > a) {
        EXPECT_EQ(l[a * d + b], 0);
      }
    }
}

struct Example {
  Node node{"MatMul", "", "product", {"x", "w"}, {"y"}, {}};
  int64_t depth = 32, channels = 40;
  Tensor weight = NormalTensor({32, 40}, 4);
  Moments moments{32, 500, {CorrelatedSums(32, 500)}};

  double Error(const std::vector<float>& scales, const int8_t* codes) const {
    double total = 0;
    for (int64_t o = 0; o < channels; ++o)
      for (int64_t a = 0; a < depth; ++a)
        for (int64_t b = 0; b < depth; ++b) {
          const auto e = [&](int64_t k) {
            return weight.data<float>()[k * channels + o] - scales[o] * codes[k * channels + o];
          };
          total += e(a) * e(b) * moments.sums[0][a * depth + b];
        }
    return total;
  }
};

TEST(RoundWeights, LeavesAFractionOfTheErrorOfTheNearestCodes) {
  const Example e;
  for (const bool limit : {false, true}) {
    const std::vector<float> scales = WeightScales(e.node, e.weight, limit);
    const std::vector<int8_t> codes =
        RoundWeights(e.node, e.weight, scales, limit, {e.moments, Threads(2)}, Threads(2));
    const Tensor nearest = WeightCodes(e.node, e.weight, scales, limit);
    EXPECT_LT(e.Error(scales, codes.data()), 0.3 * e.Error(scales, nearest.data<int8_t>()));
    EXPECT_EQ(codes, RoundWeights(e.node, e.weight, scales, limit, {e.moments, {}}, Threads()));
    for (int64_t o = 0; limit && o < e.channels; ++o)
      for (int64_t k = 0; k + 1 < e.depth; k += 2)
        EXPECT_LE(std::abs(codes[k * e.channels + o] + codes[(k + 1) * e.channels + o]), 128);
  }
}

TEST(RoundWeights, WithoutCorrelationsItRoundsToTheNearest) {
  Example e;
  for (int64_t a = 0; a < e.depth; ++a)
    for (int64_t b = 0; b < e.depth; ++b) e.moments.sums[0][a * e.depth + b] = a == b;
  const std::vector<float> scales = WeightScales(e.node, e.weight, false);
  const Tensor nearest = WeightCodes(e.node, e.weight, scales, false);
  const std::vector<int8_t> codes =
      RoundWeights(e.node, e.weight, scales, false, {e.moments, {}}, Threads());
  for (int64_t i = 0; i < e.weight.numel(); ++i) EXPECT_EQ(codes[i], nearest.data<int8_t>()[i]);
}

// Against windows gathered by hand; with a stride, padding and two groups.
TEST(CollectMoments, AreThoseOfAConvolutionsWindows) {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {1, 4, 5, 5}, {}, true}};
  g.outputs = {{"y"}};
  g.initializers["w"] = NormalTensor({6, 2, 3, 3}, 5);
  g.nodes = {{"Conv",
              "",
              "conv",
              {"x", "w"},
              {"y"},
              {{"group", int64_t{2}},
               {"strides", std::vector<int64_t>{2, 2}},
               {"pads", std::vector<int64_t>{1, 1, 1, 1}}}}};
  const std::vector<float> x = NormalValues(100, 6);
  const SampleFn sample = [&](size_t) { return TensorMap{{"x", Tensor::Of(x, {1, 4, 5, 5})}}; };
  int taken = 0;
  CollectMoments(g, {"conv"}, sample, 2, 1, Threads(2), [&](const Node&, const Moments& m) {
    ++taken;
    EXPECT_EQ(m.depth, 18);
    EXPECT_EQ(m.columns, 2 * 9);
    ASSERT_EQ(m.sums.size(), 2u);
    const auto at = [&](int64_t group, int64_t k, int64_t pixel) {  // k = tap * 2 + channel
      const int64_t tap = k / 2, row = pixel / 3 * 2 + tap / 3 - 1,
                    col = pixel % 3 * 2 + tap % 3 - 1;
      return row < 0 || col < 0 || row > 4 || col > 4 ? 0.0f
                                                      : x[(group * 2 + k % 2) * 25 + row * 5 + col];
    };
    for (int64_t group = 0; group < 2; ++group)
      for (int64_t a = 0; a < 18; ++a)
        for (int64_t b = 0; b < 18; ++b) {
          double sum = 0;
          for (int64_t pixel = 0; pixel < 9; ++pixel)
            sum += 2.0 * at(group, a, pixel) * at(group, b, pixel);
          EXPECT_NEAR(m.sums[group][a * 18 + b], sum, 1e-4);
        }
  });
  EXPECT_EQ(taken, 1);
}

TEST(PlannedCodes, ChannelsWithAnotherScaleGetTheNearest) {
  const Example e;
  NodePlan plan;
  plan.weight_scales = WeightScales(e.node, e.weight, true);
  plan.weight_codes.assign(e.weight.numel(), 7);
  std::vector<float> raised = plan.weight_scales;
  raised[1] *= 2;
  const Tensor codes = PlannedCodes(e.node, e.weight, plan, raised, true);
  const Tensor nearest = WeightCodes(e.node, e.weight, raised, true);
  EXPECT_EQ(codes.data<int8_t>()[0], 7);
  EXPECT_EQ(codes.data<int8_t>()[1], nearest.data<int8_t>()[1]);
  plan.weight_codes.pop_back();
  EXPECT_THROW(PlannedCodes(e.node, e.weight, plan, raised, true), UsageError);
}

}  // namespace
}  // namespace mezzo
