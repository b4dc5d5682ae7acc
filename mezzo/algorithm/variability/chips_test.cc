#include "mezzo/algorithm/variability/chips.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/runtime/cim.h"

namespace mezzo {
namespace {

// One product, so that there is a node to see the options in.
Graph OneProduct() {
  Graph graph;
  Node node;
  node.domain = "mezzo", node.op_type = "QMatMul", node.name = "fc";
  node.inputs = {"x", "w"}, node.outputs = {"y"};
  node.attributes["scales"] = std::vector<float>{1.0f};
  graph.nodes = {node};
  graph.initializers["w"] = Tensor::Of<int8_t>({1, 2}, {2, 1});
  return graph;
}

// Quantiles as printed in the usual tables.
TEST(Chips, StudentsQuantiles) {
  EXPECT_NEAR(StudentT95(1), 12.706, 0.0005);
  EXPECT_NEAR(StudentT95(2), 4.303, 0.0005);
  EXPECT_NEAR(StudentT95(3), 3.182, 0.0005);
  EXPECT_NEAR(StudentT95(9), 2.262, 0.0005);
  EXPECT_NEAR(StudentT95(30), 2.042, 0.0005);
  EXPECT_NEAR(StudentT95(1000), 1.962, 0.0005);
}

TEST(Chips, EverySigmaMeetsTheSameChips) {
  ChipTask task{{0, 0.1f, 0.2f}, 3, 7, {}};
  std::vector<uint64_t> chips;
  std::vector<float> sigmas;
  size_t steps = 0;
  const auto figure = [&](const Graph& graph) {
    const CimOptions o = CimOptionsOf(graph.nodes[0]);
    chips.push_back(o.chip), sigmas.push_back(o.sigma);
    return static_cast<double>(chips.size());
  };
  const auto results = SimulateChips(OneProduct(), task, figure, [&] { ++steps; });
  EXPECT_EQ(sigmas, (std::vector<float>{0, 0.1f, 0.1f, 0.1f, 0.2f, 0.2f, 0.2f}));
  for (size_t c = 0; c < 3; ++c) EXPECT_EQ(chips[1 + c], chips[4 + c]);
  EXPECT_NE(chips[1], chips[2]);
  EXPECT_EQ(steps, ChipRuns(task));
  ASSERT_EQ(results.size(), 3u);
  EXPECT_EQ(results[0].half_width, 0);  // without mismatch all chips are one
  EXPECT_EQ(results[1].values, (std::vector<double>{2, 3, 4}));
  EXPECT_DOUBLE_EQ(results[1].mean, 3);
  EXPECT_DOUBLE_EQ(results[1].deviation, 1);
  EXPECT_NEAR(results[1].half_width, 4.3027 / std::sqrt(3.0), 1e-4);
}

TEST(Chips, OneChipSaysNothingOfOthers) {
  ChipTask task{{0.1f}, 1, 7, {}};
  const auto results = SimulateChips(OneProduct(), task, [](const Graph&) { return 1.0; });
  EXPECT_TRUE(std::isnan(results[0].half_width));
  task.options.read_noise = 1, task.sigmas = {0};
  EXPECT_TRUE(ChipsDiffer(task.options));
}

TEST(Chips, RefusesWhatCannotBeDrawn) {
  const auto figure = [](const Graph&) { return 1.0; };
  EXPECT_THROW(SimulateChips(OneProduct(), {{}, 1, 1, {}}, figure), UsageError);
  EXPECT_THROW(SimulateChips(OneProduct(), {{0.1f}, 0, 1, {}}, figure), UsageError);
  EXPECT_THROW(SimulateChips(OneProduct(), {{0, -1}, 1, 1, {}}, figure), UsageError);
}

}  // namespace
}  // namespace mezzo
