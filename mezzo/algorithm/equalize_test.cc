#include "mezzo/algorithm/equalize.h"

#include <gtest/gtest.h>

#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// x -> conv (channel c is 4^c times as large) -> relu -> depthwise -> y
Graph Uneven() {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {1, 3, 6, 6}, {}, true}};
  g.outputs = {{"y"}};
  Tensor w = NormalTensor({4, 3, 1, 1}, 1);
  for (int c = 0; c < 4; ++c)
    for (int i = 0; i < 3; ++i) w.data<float>()[c * 3 + i] *= static_cast<float>(1 << (2 * c));
  g.initializers["w"] = w;
  g.initializers["wd"] = NormalTensor({4, 1, 3, 3}, 2);
  g.nodes = {{"Conv", "", "conv", {"x", "w"}, {"c"}, {}},
             {"Relu", "", "relu", {"c"}, {"r"}, {}},
             {"Conv", "", "depthwise", {"r", "wd"}, {"y"}, {{"group", int64_t{4}}}}};
  return g;
}

TensorMap Sample(size_t i) {
  return {{"x", NormalTensor({1, 3, 6, 6}, 100 + static_cast<unsigned>(i))}};
}

Equalization Choose(const Graph& g, const std::set<std::string>& quantized) {
  const Threads threads(2);
  const TuningSet tuning(g, DistortionKind::kRelativeError, Sample, 4, 1 << 20, threads);
  return ChooseEqualization(g, quantized, Sample, 8, tuning, threads);
}

// Depthwise weights take scales up for nothing, so all channels get the same range.
TEST(Equalize, BeforeADepthwiseLayerEveryChannelFillsTheGrid) {
  const Graph g = Uneven();
  const Equalization e = Choose(g, {"conv", "depthwise"});
  ASSERT_EQ(e.scales.size(), 1u);
  const std::vector<float>& s = e.scales.at("c");
  std::vector<float> top(4);
  for (size_t i = 0; i < 8; ++i)
    Session(g, {}).Run(Sample(i), [&](const Node& node, size_t, Tensor& value) {
      if (node.name != "relu") return;
      const Tensor t = value.ToLayout(Layout::kPlain);
      for (int64_t k = 0; k < t.numel(); ++k)
        top[k / 36] = std::max(top[k / 36], t.data<float>()[k]);
    });
  for (int c = 0; c < 4; ++c) EXPECT_NEAR(s[c] / s[3], std::max(top[c] / top[3], 1.0f / 64), 1e-5);
}

TEST(Equalize, FunctionAndOutputsStayAsTheyAre) {
  const Graph g = Uneven();
  const Graph s = ScaleChannels(g, Choose(g, {"conv", "depthwise"}).scales);
  const Tensor want = Session(g, {}).Run(Sample(0))[0], got = Session(s, {}).Run(Sample(0))[0];
  for (int64_t i = 0; i < want.numel(); ++i)
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i], 1e-4);
}

TEST(Equalize, ValuesThatOthersReadAsTheyAreKeepTheirUnits) {
  Graph output = Uneven();
  output.outputs.push_back({"r"});
  EXPECT_TRUE(Choose(output, {"conv", "depthwise"}).scales.empty());

  Graph captured = Uneven();
  auto branch = std::make_shared<Graph>();
  branch->nodes = {{"Neg", "", "neg", {"r"}, {"n"}, {}}};
  branch->outputs = {{"n"}};
  captured.initializers["yes"] = Tensor::Scalar(true);
  captured.nodes.push_back({"If",
                            "",
                            "if",
                            {"yes"},
                            {"i"},
                            {{"then_branch", std::shared_ptr<const Graph>(branch)},
                             {"else_branch", std::shared_ptr<const Graph>(branch)}}});
  captured.outputs.push_back({"i"});
  EXPECT_TRUE(Choose(captured, {"conv", "depthwise"}).scales.empty());

  // an addition of codes has one grid for both
  Graph added = Uneven();
  added.nodes.push_back({"Add", "", "add", {"r", "r"}, {"a"}, {}});
  added.nodes.push_back({"Sigmoid", "", "sigmoid", {"a"}, {"z"}, {}});
  added.outputs.push_back({"z"});
  EXPECT_TRUE(Choose(added, {"conv", "depthwise"}).scales.empty());
}

TEST(Equalize, EvenChannelsAreLeftAlone) {
  Graph g = Uneven();
  g.initializers["w"] = NormalTensor({4, 3, 1, 1}, 7);
  for (float& v : g.initializers["w"].span<float>()) v = v < 0 ? -1 : 1;
  EXPECT_TRUE(Choose(g, {"conv", "depthwise"}).scales.empty());
}

}  // namespace
}  // namespace mezzo
