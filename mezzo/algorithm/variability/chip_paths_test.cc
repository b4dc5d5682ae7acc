#include "mezzo/algorithm/variability/chip_paths.h"

#include <gtest/gtest.h>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/algorithm/round_layers.h"
#include "mezzo/runtime/cim.h"
#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/lower.h"
#include "mezzo/tensor/arithmetic.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// A convolution (2, 6, 9, 9) -> (2, 12, 9, 9) with a path of rank 12, which can take up anything.
struct OneLayer {
  Graph qdq, lowered;
  TensorMap inputs{{"x", NormalTensor({2, 6, 9, 9}, 3)}};

  OneLayer() {
    Model model;
    Graph& g = model.graph;
    g.inputs = {{"x", DType::kFloat32, {2, 6, 9, 9}, {}, true}};
    g.outputs = {{"y", DType::kFloat32}};
    g.initializers["w"] = NormalTensor({12, 6, 3, 3}, 1);
    g.nodes.push_back(
        {"Conv", "", "layer", {"x", "w"}, {"y"}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}}});
    Plan plan;
    plan.nodes["layer"].quantized = true;
    plan.activations["x"].qparams = {0.03f, 0};
    plan.activation_format = {8, true, false};
    const WeightFormat& format = *FindWeightFormat("nf4");
    RoundedWithPath r =
        QuantizeWithPath(g.nodes[0], g.initializers["w"], format, 0, true, nullptr, {12, 0}, {});
    SetWeights(plan.nodes["layer"], format, 0, std::move(r.q));
    plan.nodes["layer"].path = r.path;
    qdq = ApplyPlan(model, plan).graph;
    FoldConstants(qdq);
    lowered = LowerToIntegers(qdq, nullptr);
  }
  ChipPaths Paths() const {
    return {qdq, lowered, [&](size_t) { return inputs; }, 1, {}};
  }
  double Error(const Graph& graph) const {
    const Tensor d =
        Difference(Session(graph, {}).Run(inputs)[0], Session(lowered, {}).Run(inputs)[0]);
    double sum = 0;
    for (const float v : d.span<float>()) sum += double(v) * v;
    return sum;
  }
};

TEST(ChipPaths, OfFullRankUndoWhatACellDoes) {
  const OneLayer one;
  const ChipPaths paths = one.Paths();
  ASSERT_EQ(paths.layers(), 1U);
  EXPECT_EQ(paths.rank(), 12);
  CimOptions chip;
  chip.sigma = 0.2f, chip.drift = 0.1f, chip.chip = 5;
  const double plain = one.Error(OnArrays(one.lowered, chip));
  EXPECT_GT(plain, 1);
  EXPECT_LT(one.Error(OnArrays(paths.FittedTo({chip}), chip)), 1e-3 * plain);
  const std::vector<ChipRecovery> r = paths.Recovered(chip);
  ASSERT_EQ(r.size(), 1U);
  EXPECT_EQ(r[0].rank, 12);
  EXPECT_GT(r[0].noise, 0.01);
  EXPECT_LT(r[0].left, 1e-3 * r[0].noise);
  CimOptions other = chip;
  other.chip = 6;
  EXPECT_GT(one.Error(OnArrays(paths.FittedTo({other}), chip)), 0.5 * plain);
}

// What chips have in common, a drift, can be taken up for all; without effects nothing changes.
TEST(ChipPaths, OfManyChipsTakeUpTheDrift) {
  const OneLayer one;
  const ChipPaths paths = one.Paths();
  CimOptions chip;
  chip.drift = 0.2f;
  const double plain = one.Error(OnArrays(one.lowered, chip));
  EXPECT_LT(one.Error(OnArrays(paths.FittedTo({chip, chip}), chip)), 1e-3 * plain);
  EXPECT_LT(one.Error(paths.FittedTo({CimOptions()})), 1e-4 * plain);
  EXPECT_GT(one.Error(paths.Without()), one.Error(paths.FittedTo({CimOptions()})));
}

TEST(ChipPaths, NetworksWithoutThemHaveNone) {
  OneLayer one;
  one.lowered = one.qdq = {};
  EXPECT_EQ(one.Paths().layers(), 0U);
}

}  // namespace
}  // namespace mezzo
