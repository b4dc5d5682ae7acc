#include "mezzo/runtime/macs.h"

#include <gtest/gtest.h>

namespace mezzo {
namespace {

TEST(MeasureWork, CountsWhatANodeReadsAndMakesOnce) {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {2, 6}, {}, true}};
  g.initializers["w"] = Tensor::Zeros(DType::kFloat32, {6, 4});
  g.initializers["shape"] = Tensor::Vector<int64_t>({4, 2});
  g.initializers["row"] = Tensor::Vector<int64_t>({1});
  g.nodes = {{"MatMul", "", "product", {"x", "w"}, {"a"}, {}},
             {"Mul", "", "square", {"a", "a"}, {"b"}, {}},
             {"Reshape", "", "view", {"b", "shape"}, {"c"}, {}},
             {"Gather", "", "pick", {"c", "row"}, {"d"}, {}},
             {"Shape", "", "size", {"d"}, {"s"}, {}},
             {"Greater", "", "compare", {"d", "d"}, {"e"}, {}}};
  g.outputs = {{"e"}, {"s"}};
  const Tensor x = Tensor::Zeros(DType::kFloat32, {2, 6});
  const std::vector<NodeWork> work = MeasureWork(g, Session(g, {}), {{"x", x}});
  ASSERT_EQ(work.size(), 6u);
  EXPECT_EQ(work[0].macs, 2 * 6 * 4);
  EXPECT_EQ(work[0].bytes, 4 * (2 * 6 + 6 * 4 + 2 * 4));
  EXPECT_EQ(work[0].shape, (Shape{2, 4}));
  EXPECT_EQ(work[0].dtype, DType::kFloat32);
  EXPECT_EQ(work[1].macs, 0);
  EXPECT_EQ(work[1].bytes, 4 * 2 * 8) << "the same input twice is read once";
  EXPECT_EQ(work[2].bytes, 0) << "the same memory under another shape";
  EXPECT_EQ(work[3].bytes, 8 + 4 * 2 * 2) << "one row of four";
  EXPECT_EQ(work[4].bytes, 8 * 2);
  EXPECT_EQ(work[5].bytes, 4 * 2 + 2);
}

}  // namespace
}  // namespace mezzo
