#include "mezzo/graph/scale_channels.h"

#include <gtest/gtest.h>

#include <random>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

Tensor Random(Shape shape) {
  static std::mt19937 rng(3);
  std::uniform_real_distribution<float> real(-1, 1);
  Tensor t(DType::kFloat32, std::move(shape));
  for (float& v : t.span<float>()) v = real(rng);
  return t;
}

// x -> conv1 (3 channels) -> relu -> concat with conv2 of x (2) -> depthwise; sigmoid reads conv2
Graph Branches() {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {1, 2, 4, 4}, {}, true}};
  g.outputs = {{"y"}, {"s"}};
  g.initializers["w1"] = Random({3, 2, 1, 1});
  g.initializers["b1"] = Random({3});
  g.initializers["w2"] = Random({2, 2, 1, 1});
  g.initializers["wd"] = Random({5, 1, 3, 3});
  g.nodes = {{"Conv", "", "conv1", {"x", "w1", "b1"}, {"c1"}, {}},
             {"Conv", "", "conv2", {"x", "w2"}, {"c2"}, {}},
             {"Relu", "", "relu", {"c1"}, {"r"}, {}},
             {"Concat", "", "concat", {"r", "c2"}, {"c"}, {{"axis", int64_t{1}}}},
             {"Conv", "", "depthwise", {"c", "wd"}, {"y"}, {{"group", int64_t{5}}}},
             {"Sigmoid", "", "sigmoid", {"c2"}, {"s"}, {}}};
  return g;
}

const Tensor& Weight(const Graph& g, const std::string& node) {
  for (const Node& n : g.nodes)
    if (n.name == node) return g.initializers.at(n.inputs[1]);
  throw UsageError("no node " + node);
}

TEST(ScaleChannels, GoesThroughReluAndConcatIntoTheWeightsThatRead) {
  const Graph g = Branches();
  const Graph s = ScaleChannels(g, {{"c1", {2, 4, 8}}, {"c2", {0.5f, 16}}});
  const std::vector<float> all{2, 4, 8, 0.5f, 16};
  for (int c = 0; c < 3; ++c) {
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(Weight(s, "conv1").data<float>()[c * 2 + i],
                Weight(g, "conv1").data<float>()[c * 2 + i] / all[c]);
    EXPECT_EQ(s.initializers.at("conv1_bias_equalized").data<float>()[c],
              g.initializers.at("b1").data<float>()[c] / all[c]);
  }
  for (int i = 0; i < 45; ++i)
    EXPECT_EQ(Weight(s, "depthwise").data<float>()[i],
              Weight(g, "depthwise").data<float>()[i] * all[i / 9]);
  // the sigmoid gets its units back
  const Uses uses(s);
  const Node& sigmoid = s.nodes[uses.producer.at("s")];
  const Node& restore = s.nodes[uses.producer.at(sigmoid.inputs[0])];
  EXPECT_TRUE(restore.Is("Mul"));
  EXPECT_EQ(s.initializers.at(restore.inputs[1]).shape(), (Shape{2, 1, 1}));
}

TEST(ScaleChannels, AMulMakesACopyForLayersOfAFloatValue) {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {3, 2}, {}, true}};
  g.outputs = {{"y"}, {"t"}};
  g.initializers["w"] = Random({2, 4});
  g.nodes = {{"Tanh", "", "tanh", {"x"}, {"t"}, {}},
             {"MatMul", "", "product", {"t", "w"}, {"y"}, {}}};
  const Graph s = ScaleChannels(g, {{"t", {0.5f, 4}}});
  const Uses uses(s);
  const Node& mul = s.nodes[uses.producer.at(s.nodes[uses.producer.at("y")].inputs[0])];
  EXPECT_EQ(mul.inputs[0], "t");
  EXPECT_EQ(s.initializers.at(mul.inputs[1]).data<float>()[0], 2);
  EXPECT_EQ(s.initializers.at(mul.inputs[1]).shape(), (Shape{2}));
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(Weight(s, "product").data<float>()[i],
              g.initializers.at("w").data<float>()[i] * (i < 4 ? 0.5f : 4));
}

TEST(ScaleChannels, NamesWhatDoesNotFit) {
  const auto fails = [](const ChannelScales& scales, const std::string& part) {
    try {
      ScaleChannels(Branches(), scales);
      return false;
    } catch (const UsageError& e) {
      return std::string(e.what()).find(part) != std::string::npos;
    }
  };
  EXPECT_TRUE(fails({{"nothing", {1}}}, "no value nothing"));
  EXPECT_TRUE(fails({{"c1", {1, 2}}}, "3 channels, got 2"));
  EXPECT_TRUE(fails({{"c1", {1, 2, -1}}}, "positive"));
  EXPECT_TRUE(fails({{"y", {1, 1, 1, 1, 1}}}, "output of the model"));
}

// The bounds stay: a scale of 1/2 makes what was bounded at 6 bounded at 3.
TEST(ScaleChannels, AClipBoundsScaledChannels) {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {1, 1, 1, 4}, {}, true}};
  g.outputs = {{"y"}};
  g.initializers["one"] = Tensor::Of<float>({1}, {1, 1, 1, 1});
  g.initializers["0"] = Tensor::Scalar(0.0f);
  g.initializers["6"] = Tensor::Scalar(6.0f);
  g.nodes = {{"Conv", "", "conv", {"x", "one"}, {"c"}, {}},
             {"Clip", "", "clip", {"c", "0", "6"}, {"r"}, {}},
             {"Conv", "", "next", {"r", "one"}, {"y"}, {}}};
  const Graph scaled = ScaleChannels(g, {{"c", {0.5f}}});
  EXPECT_EQ(*Weight(scaled, "conv").data<float>(), 2);
  EXPECT_EQ(*Weight(scaled, "next").data<float>(), 0.5f);
  EXPECT_EQ(scaled.nodes[1].inputs, (std::vector<std::string>{"c_equalized", "0", "6"}));
  EXPECT_THROW(ScaleChannels(g, {{"c", {2}}}), UsageError);
}

}  // namespace
}  // namespace mezzo
