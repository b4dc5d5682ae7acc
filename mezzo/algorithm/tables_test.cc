#include "mezzo/algorithm/tables.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

// Row r holds multiples of r + 1; row 3 is zero.
Graph Lookup() {
  Tensor table(DType::kFloat32, {1024, 64});
  for (int64_t i = 0; i < table.numel(); ++i)
    table.data<float>()[i] =
        i / 64 == 3 ? 0 : static_cast<float>(i / 64 + 1) * std::sin(static_cast<float>(i));
  Graph g;
  g.inputs = {{"ids", DType::kInt64, {2, 2}, {}, true}};
  g.outputs = {{"rows"}};
  g.initializers = {{"table", table}};
  g.nodes = {{"Gather", "", "look", {"table", "ids"}, {"rows"}, {}}};
  return g;
}

TEST(Tables, EveryRowIsWithinHalfAStepOfItsOwnScale) {
  const Graph g = Lookup();
  Graph stored = g;
  StoreTable(stored, "table", *FindWeightFormat("int8"));
  EXPECT_FALSE(stored.initializers.contains("table"));
  const TensorMap ids{{"ids", Tensor::Of<int64_t>({0, 3, 1023, -2}, {2, 2})}};
  const Tensor want = Session(g, {}).Run(ids)[0], got = Session(stored, {}).Run(ids)[0];
  ASSERT_EQ(got.shape(), want.shape());
  const float tops[] = {1, 0, 1024, 1023};
  for (int64_t i = 0; i < want.numel(); ++i)
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i], 0.501f * tops[i / 64] / 127) << i;
}

TEST(Tables, OnlyWhatGatherAloneReads) {
  EXPECT_EQ(FindTables(Lookup()), std::set<std::string>{"table"});
  Graph output = Lookup(), other = Lookup(), columns = Lookup(), small = Lookup();
  output.outputs.push_back({"table"});
  other.nodes.push_back({"Relu", "", "relu", {"table"}, {"r"}, {}});
  columns.nodes[0].attributes["axis"] = int64_t{1};
  small.initializers["table"] = Tensor::Zeros(DType::kFloat32, {64, 64});
  for (Graph* g : {&output, &other, &columns, &small}) {
    EXPECT_TRUE(FindTables(*g).empty());
    EXPECT_THROW(StoreTable(*g, "table", *FindWeightFormat("int8")), UsageError);
  }
}

}  // namespace
}  // namespace mezzo
