#include "mezzo/algorithm/bias_correction.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// x (1, 3, 8, 8) -> 1x1 convolution to 6 -> Relu -> 1x1 convolution to 5, with biases.
struct TwoConvs {
  Model model;
  Plan plan;

  TwoConvs() {
    Graph& g = model.graph;
    g.inputs = {{"x", DType::kFloat32, {1, 3, 8, 8}, {}, true}};
    g.initializers["w1"] = NormalTensor({6, 3, 1, 1}, 1);
    g.initializers["b1"] = NormalTensor({6}, 2);
    g.initializers["w2"] = NormalTensor({5, 6, 1, 1}, 3);
    g.initializers["b2"] = NormalTensor({5}, 4);
    g.nodes.push_back({"Conv", "", "first", {"x", "w1", "b1"}, {"a"}, {}});
    g.nodes.push_back({"Relu", "", "relu", {"a"}, {"r"}, {}});
    g.nodes.push_back({"Conv", "", "second", {"r", "w2", "b2"}, {"y"}, {}});
    g.outputs = {{"y"}};
    for (size_t i : {0, 2}) {
      const Node& node = g.nodes[i];
      NodePlan& p = plan.nodes[node.name];
      p.quantized = true;
      p.weight_scales = WeightScales(node, *g.Initializer(node.inputs[1]), false);
      const Tensor codes =
          WeightCodes(node, *g.Initializer(node.inputs[1]), p.weight_scales, false);
      p.weight_codes.assign(codes.span<int8_t>().begin(), codes.span<int8_t>().end());
    }
    plan.activations["x"] = {{8.0f / 255, 128}, -4, 4, false, "max"};
    plan.activations["y"] = {{32.0f / 255, 128}, -16, 16, false, "max"};
    plan.activations["r"] = {{16.0f / 255, 0}, 0, 16, false, "max"};
  }
  TuningSet Samples() const {
    const SampleFn sample = [](size_t i) {
      return TensorMap{{"x", NormalTensor({1, 3, 8, 8}, 10 + static_cast<unsigned>(i))}};
    };
    return TuningSet(model.graph, DistortionKind::kRelativeError, sample, 16, 1 << 24, Threads(2));
  }
  double Distortion(const Plan& p) const { return Samples().Measure(ApplyPlan(model, p).graph); }
};

// Scales that are a tenth off, channel by channel, come back but for the prior, which keeps a
// fiftieth of the change (0.002), and what 8-bit noise does to a slope from 512 values (below
// 0.02).
TEST(FitOutputs, FindsScalesThatWereOff) {
  const TwoConvs t;
  const double clean = t.Distortion(t.plan);
  Plan off = t.plan;
  const auto factor = [](size_t channel) { return channel % 2 ? 1.1f : 0.9f; };
  for (auto& [name, node] : off.nodes)
    for (size_t c = 0; c < node.weight_scales.size(); ++c) node.weight_scales[c] *= factor(c);
  const auto fits = FitOutputs(t.model, off, t.Samples(), 1 << 24, true, Threads(2));
  ASSERT_EQ(fits.size(), 2u);
  for (const auto& [name, fit] : fits)
    for (size_t c = 0; c < fit.scale.size(); ++c)
      EXPECT_NEAR(fit.scale[c] * factor(c), 1, 0.02) << name << " " << c;
  Plan fitted = off;
  ApplyFits(t.model.graph, fits, fitted);
  EXPECT_GT(t.Distortion(off), 20 * clean);
  EXPECT_LT(t.Distortion(fitted), 2 * clean);
}

// Where nothing was off, few samples must not make it so.
TEST(FitOutputs, LeavesWhatFewSamplesCannotTell) {
  const TwoConvs t;
  const double clean = t.Distortion(t.plan);
  for (const size_t memory : {size_t{1}, size_t{1} << 24}) {  // one sample, all of them
    Plan fitted = t.plan;
    const auto fits = FitOutputs(t.model, t.plan, t.Samples(), memory, true, {});
    ApplyFits(t.model.graph, fits, fitted);
    EXPECT_LT(t.Distortion(fitted), 1.05 * clean) << memory;
    if (memory > 1) continue;
    for (const auto& [name, fit] : fits)
      for (size_t c = 0; c < fit.scale.size(); ++c) EXPECT_EQ(fit.scale[c], 1.0f) << name;
  }
}

TEST(FitOutputs, DoesNotDependOnThreads) {
  const TwoConvs t;
  const auto one = FitOutputs(t.model, t.plan, t.Samples(), 1 << 24, true, {});
  const auto three = FitOutputs(t.model, t.plan, t.Samples(), 1 << 24, true, Threads(3));
  for (const auto& [name, fit] : one) {
    EXPECT_EQ(fit.scale, three.at(name).scale);
    EXPECT_EQ(fit.shift, three.at(name).shift);
  }
}

// Shifts alone are those of the fit where scales are 1.
TEST(BiasShifts, TakeBackWhatWasShifted) {
  const TwoConvs t;
  Plan off = t.plan;
  off.nodes["second"].bias_shift.assign(5, 0.25f);  // not counted
  const auto shifts = BiasShifts(t.model, off, t.Samples(), 1 << 24, Threads(2));
  for (const auto& [name, shift] : shifts)
    for (const float s : shift) EXPECT_LT(std::fabs(s), 0.02f) << name;
}

}  // namespace
}  // namespace mezzo
