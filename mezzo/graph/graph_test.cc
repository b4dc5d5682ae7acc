#include "mezzo/graph/graph.h"

#include <gtest/gtest.h>

#include "mezzo/graph/passes.h"
#include "mezzo/graph/upgrade.h"

namespace mezzo {
namespace {

ValueInfo Float(const std::string& name, Shape shape) {
  return {name, DType::kFloat32, shape, {}, true};
}

// y = relu(bn(conv(x)))
Graph ConvBn() {
  Graph g;
  g.inputs = {Float("x", {1, 2, 4, 4})};
  g.outputs = {{"y"}};
  g.initializers["w"] = Tensor::Of<float>({1, 2, 3, 4, 5, 6}, {3, 2, 1, 1});
  g.initializers["gamma"] = Tensor::Vector<float>({1, 2, -1});
  g.initializers["beta"] = Tensor::Vector<float>({0, 1, 2});
  g.initializers["mean"] = Tensor::Vector<float>({0.5f, -1, 2});
  g.initializers["var"] = Tensor::Vector<float>({1, 4, 0.25f});
  g.nodes = {{"Conv", "", "conv", {"x", "w"}, {"c"}, {}},
             {"BatchNormalization",
              "",
              "bn",
              {"c", "gamma", "beta", "mean", "var"},
              {"b"},
              {{"epsilon", 0.0f}}},
             {"Relu", "", "relu", {"b"}, {"y"}, {}}};
  return g;
}

TEST(Graph, SortPutsMakersBeforeUsersAndKeepsTheOrderOtherwise) {
  Graph g = ConvBn();
  std::swap(g.nodes[0], g.nodes[2]);
  SortNodes(g);
  EXPECT_EQ(g.nodes[0].name, "conv");
  EXPECT_EQ(g.nodes[1].name, "bn");
  EXPECT_EQ(g.nodes[2].name, "relu");
}

TEST(Graph, SortNamesCyclesAndMissingValues) {
  Graph g = ConvBn();
  g.nodes[0].inputs[0] = "y";
  EXPECT_THROW(SortNodes(g), UsageError);
  g.nodes[0].inputs[0] = "nobody";
  try {
    SortNodes(g);
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("nobody"), std::string::npos);
  }
}

TEST(Graph, CapturesLookThroughNestedGraphs) {
  auto inner = std::make_shared<Graph>();
  inner->nodes = {{"Add", "", "add", {"far", "near"}, {"s"}, {}}};
  inner->outputs = {{"s"}};
  Graph outer;
  outer.inputs = {Float("near", {1})};
  outer.nodes = {
      {"If", "", "if", {"cond"}, {"o"}, {{"then_branch", std::shared_ptr<const Graph>(inner)}}}};
  outer.outputs = {{"o"}};
  EXPECT_EQ(Captures(outer), (std::vector<std::string>{"cond", "far"}));
}

TEST(FoldScalesAndShifts, MovesBatchNormIntoTheConvolution) {
  Graph g = ConvBn();
  EXPECT_EQ(FoldScalesAndShifts(g), std::vector<std::string>{"bn"});
  ASSERT_EQ(g.nodes.size(), 2u);
  const Node& conv = g.nodes[0];
  EXPECT_EQ(conv.outputs[0], "b");
  const auto w = g.Initializer(conv.inputs[1])->span<float>();
  EXPECT_EQ((std::vector<float>(w.begin(), w.end())), (std::vector<float>{1, 2, 3, 4, -10, -12}));
  const auto b = g.Initializer(conv.inputs[2])->span<float>();
  EXPECT_EQ((std::vector<float>(b.begin(), b.end())), (std::vector<float>{-0.5f, 2, 6}));
  EXPECT_EQ(g.initializers.size(), 2u);  // what nobody uses is gone
}

TEST(FoldScalesAndShifts, LeavesValuesThatOthersUse) {
  Graph g = ConvBn();
  g.outputs.push_back({"c"});
  EXPECT_TRUE(FoldScalesAndShifts(g).empty());
}

TEST(FoldScalesAndShifts, TakesAddAndMulByChannelButNotByColumn) {
  Graph g = ConvBn();
  g.nodes[1] = {"Mul", "", "mul", {"c", "scale"}, {"b"}, {}};
  g.initializers["scale"] = Tensor::Of<float>({2, 3, 4}, {3, 1, 1});
  EXPECT_EQ(FoldScalesAndShifts(g).size(), 1u);
  Graph columns = ConvBn();
  columns.nodes[1] = {"Mul", "", "mul", {"c", "scale"}, {"b"}, {}};
  columns.initializers["scale"] = Tensor::Vector<float>({1, 2, 3});
  EXPECT_TRUE(FoldScalesAndShifts(columns).empty());
}

TEST(Upgrade, TurnsAttributesIntoInputs) {
  Graph g;
  g.inputs = {Float("x", {1, 4})};
  g.outputs = {{"y"}};
  g.nodes = {{"Clip", "", "clip", {"x"}, {"c"}, {{"min", 0.0f}, {"max", 6.0f}}},
             {"Squeeze", "", "squeeze", {"c"}, {"y"}, {{"axes", std::vector<int64_t>{0}}}}};
  UpgradeOperators(g, 9);
  ASSERT_EQ(g.nodes[0].inputs.size(), 3u);
  EXPECT_EQ(*g.Initializer(g.nodes[0].inputs[2])->data<float>(), 6.0f);
  EXPECT_EQ(ToInts(*g.Initializer(g.nodes[1].inputs[1])), std::vector<int64_t>{0});
  EXPECT_TRUE(g.nodes[1].attributes.empty());
}

TEST(Upgrade, KeepsTheMeaningOfOldSoftmax) {
  Graph g;
  g.inputs = {Float("x", {2, 3, 4})};
  g.outputs = {{"y"}};
  g.nodes = {{"Softmax", "", "soft", {"x"}, {"y"}, {}}};
  UpgradeOperators(g, 11);  // over axes 1 and 2 together
  ASSERT_EQ(g.nodes.size(), 4u);
  EXPECT_EQ(g.nodes[1].op_type, "Flatten");
  EXPECT_EQ(g.nodes[3].op_type, "Reshape");
}

}  // namespace
}  // namespace mezzo
