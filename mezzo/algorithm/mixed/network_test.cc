#include "mezzo/algorithm/mixed/network.h"

#include <gtest/gtest.h>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/pack_weights.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/import/onnx_writer.h"
#include "mezzo/runtime/macs.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// x (1, 32, 6, 6) -> conv, 1x1 -> Relu -> grouped, 3x3 in 2 groups -> y
Model TwoConvolutions() {
  Model model;
  model.opset = 21;
  Graph& g = model.graph;
  g.inputs = {{"x", DType::kFloat32, {1, 32, 6, 6}, {"", "", "", ""}, true}};
  g.outputs = {{"y", DType::kFloat32, {1, 16, 4, 4}, {"", "", "", ""}, true}};
  g.initializers["w"] = NormalTensor({64, 32, 1, 1}, 1);
  g.initializers["b"] = NormalTensor({64}, 2);
  g.initializers["v"] = NormalTensor({16, 32, 3, 3}, 3);
  g.nodes.push_back({"Conv", "", "conv", {"x", "w", "b"}, {"a"}, {}});
  g.nodes.push_back({"Relu", "", "relu", {"a"}, {"r"}, {}});
  g.nodes.push_back({"Conv", "", "grouped", {"r", "v"}, {"y"}, {{"group", int64_t{2}}}});
  return model;
}

TensorMap Inputs(size_t i) {
  return {{"x", NormalTensor({1, 32, 6, 6}, 10 + static_cast<unsigned>(i))}};
}

Int8Result InInt8() {
  Int8Result base;
  base.prepared = TwoConvolutions();
  const Graph& g = base.prepared.graph;
  base.plan.activations["x"].qparams = {0.04f, 128};
  base.plan.activations["r"].qparams = {0.1f, 0};
  base.plan.activations["y"].qparams = {2.0f, 128};
  for (const Node& node : g.nodes) {
    if (!node.Is("Conv")) continue;
    NodePlan& plan = base.plan.nodes[node.name];
    plan.quantized = true;
    plan.weight_scales = WeightScales(node, g.initializers.at(node.inputs[1]), true);
  }
  base.quantized = ApplyPlan(base.prepared, base.plan);
  base.macs = CountMacs(g, Session(g, {}), Inputs(0));
  return base;
}

int64_t FileBytes(const Int8Result& base, const Plan& plan) {
  Model model = ApplyPlan(base.prepared, plan);
  PackWeights(model, plan);
  return static_cast<int64_t>(OnnxBytes(model));
}

class NetworkOptions : public testing::Test {
 protected:
  NetworkOptions() : base_(InInt8()) {
    NetworkOptionsTask task;
    task.formats = {"float32", "int8", "nf3"};
    task.ranks = {2, 8};
    task.sample = Inputs;
    task.count = 8;
    layers_ = MakeNetworkOptions(base_, task);
  }
  double Noise(size_t layer, size_t option) const {
    return SquaredNorm(layers_.at(layer).ranked.deltas.at(option));
  }

  const Int8Result base_;
  std::vector<NetworkLayer> layers_;
};

TEST_F(NetworkOptions, PathsTakeUpErrorsWithTheirRank) {
  ASSERT_EQ(layers_.size(), 2U);
  std::vector<std::string> names;
  for (const NetworkOption& o : layers_[0].options) names.push_back(o.name);
  EXPECT_EQ(names, (std::vector<std::string>{"float32", "int8", "nf3", "nf3+r2", "nf3+r8"}));
  EXPECT_LT(Noise(0, 3), 0.95 * Noise(0, 2));
  EXPECT_LT(Noise(0, 4), 0.8 * Noise(0, 3));
  for (const size_t i : {3, 4}) {
    const NetworkOption& o = layers_[0].options[i];
    const int64_t rank = i == 3 ? 2 : 8;
    EXPECT_TRUE(o.available);
    EXPECT_EQ(o.plan.path.rank(), rank);
    EXPECT_EQ(o.path_macs, 36 * rank * (64 + 32));  // 36 pixels
    EXPECT_EQ(o.bits, 3);
  }
}

// What the solver counts is what the file grows by, but for lengths that take a byte or two less.
TEST_F(NetworkOptions, PathsCostWhatTheFileGrowsBy) {
  // with what its fit adds, biases that were not there
  const int64_t int8 = FileBytes(base_, WithOptions(base_.plan, layers_, {1, 1}));
  for (size_t i = 0; i < layers_[0].options.size(); ++i) {
    const NetworkOption& o = layers_[0].options[i];
    int64_t counted = o.bytes;
    for (const auto& [name, bytes] : o.shared) counted += bytes;
    const int64_t real = FileBytes(base_, WithOptions(base_.plan, layers_, {i, 1})) - int8;
    EXPECT_LE(real, counted) << o.name;
    EXPECT_GE(real, counted - 16) << o.name;
  }
}

TEST_F(NetworkOptions, LayersWithoutPathsHaveTheSameOptionsUnavailable) {
  const std::vector<NetworkOption>& options = layers_[1].options;
  ASSERT_EQ(options.size(), 5U);
  for (const size_t i : {3, 4}) {
    EXPECT_FALSE(options[i].available);
    EXPECT_FALSE(options[i].plan.path.a.defined());
    EXPECT_EQ(options[i].bytes, options[2].bytes);
    EXPECT_EQ(Noise(1, i), Noise(1, 2));
  }
  EXPECT_TRUE(options[2].available);
}

}  // namespace
}  // namespace mezzo
