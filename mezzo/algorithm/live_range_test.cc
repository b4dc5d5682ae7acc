#include "mezzo/algorithm/live_range.h"

#include <gtest/gtest.h>

namespace mezzo {
namespace {

// x * clip(x + 3, 0, 6) / 6, as exporters write hard-swish
Graph HardSwish() {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {1, 4}, {}, true}};
  g.outputs = {{"y"}};
  for (const auto& [name, v] : {std::pair{"three", 3.0f}, {"zero", 0.0f}, {"six", 6.0f}})
    g.initializers[name] = Tensor::Scalar(v);
  g.nodes = {{"Add", "", "add", {"x", "three"}, {"a"}, {}},
             {"Clip", "", "clip", {"a", "zero", "six"}, {"c"}, {}},
             {"Mul", "", "mul", {"x", "c"}, {"m"}, {}},
             {"Div", "", "div", {"m", "six"}, {"y"}, {}}};
  return g;
}

std::map<std::string, Range> Seen(float lo, float hi) { return {{"x", {lo, hi}}}; }

TEST(LiveRanges, HardSwishIgnoresWhatIsBelowMinusThree) {
  const auto live = LiveRanges(HardSwish(), Seen(-20, 10));
  ASSERT_TRUE(live.contains("x"));
  EXPECT_NEAR(live.at("x").lo, -3, 30.0f / 2000);
  EXPECT_EQ(live.at("x").hi, 10);
}

TEST(LiveRanges, NothingIsFlatInsideTheRangeSeen) {
  EXPECT_TRUE(LiveRanges(HardSwish(), Seen(-2, 10)).empty());
}

TEST(LiveRanges, AnotherReaderNeedsTheWholeRange) {
  Graph g = HardSwish();
  g.outputs.push_back({"x"});
  EXPECT_TRUE(LiveRanges(g, Seen(-20, 10)).empty());
  Graph h = HardSwish();
  h.nodes.push_back({"Flatten", "", "flatten", {"x"}, {"f"}, {}});
  h.outputs.push_back({"f"});
  EXPECT_TRUE(LiveRanges(h, Seen(-20, 10)).empty());
}

TEST(LiveRanges, AReluNeedsNoNegativeValues) {
  Graph g = HardSwish();
  g.nodes = {{"Relu", "", "relu", {"x"}, {"y"}, {}}};
  const auto live = LiveRanges(g, Seen(-8, 8));
  ASSERT_TRUE(live.contains("x"));
  EXPECT_NEAR(live.at("x").lo, 0, 16.0f / 2000);
}

}  // namespace
}  // namespace mezzo
