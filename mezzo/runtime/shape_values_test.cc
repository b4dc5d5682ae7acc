#include "mezzo/runtime/shape_values.h"

#include <gtest/gtest.h>

#include "mezzo/runtime/session.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

Node Make(const char* type, std::vector<std::string> inputs, std::string output) {
  Node node;
  node.op_type = node.name = type;
  node.inputs = std::move(inputs);
  node.outputs = {std::move(output)};
  return node;
}

// y = x reshaped to (1, all of its elements) plus its first dimension, as exporters write it.
Graph Flat() {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {}, {}, false}};
  g.initializers["one"] = Tensor::Vector(std::vector<int64_t>{1});
  g.initializers["zero"] = Tensor::Vector(std::vector<int64_t>{0});
  g.nodes.push_back(Make("Shape", {"x"}, "shape"));
  g.nodes.push_back(Make("Size", {"x"}, "size"));
  g.nodes.push_back(Make("Reshape", {"size", "one"}, "flat_size"));
  Node concat = Make("Concat", {"one", "flat_size"}, "to");
  concat.attributes["axis"] = int64_t{0};
  g.nodes.push_back(concat);
  g.nodes.push_back(Make("Gather", {"shape", "zero"}, "first"));
  Node cast = Make("Cast", {"first"}, "number");
  cast.attributes["to"] = int64_t{1};
  g.nodes.push_back(cast);
  g.nodes.push_back(Make("Reshape", {"x", "to"}, "row"));
  g.nodes.push_back(Make("Add", {"row", "number"}, "y"));
  g.outputs = {{"y"}};
  return g;
}

TEST(ShapeValues, FollowThroughChainsOfShapesButNotOfData) {
  EXPECT_EQ(FollowFromShapes(Flat()), (std::vector<char>{1, 1, 1, 1, 1, 1, 0, 0}));
  Graph g;
  g.inputs = {{"x"}};
  g.nodes.push_back(Make("NonZero", {"x"}, "where"));
  g.nodes.push_back(Make("Shape", {"where"}, "count"));  // of data
  g.nodes.push_back(Make("Shape", {"x"}, "shape"));
  g.nodes.push_back(Make("Expand", {"x", "count"}, "wide"));
  g.nodes.push_back(Make("Shape", {"wide"}, "of_wide"));
  g.nodes.push_back(Make("RandomUniformLike", {"shape"}, "random"));
  g.nodes.push_back(Make("Add", {"shape", "random"}, "sum"));
  EXPECT_EQ(FollowFromShapes(g), (std::vector<char>{0, 0, 1, 0, 0, 0, 0}));
}

TEST(ShapeValues, AreComputedAgainForOtherShapes) {
  const Graph g = Flat();
  const Session session(g, {});
  const auto expect = [&](const Shape& shape) {
    const Tensor x = NormalTensor(shape, 1);
    const Tensor y = session.Run({{"x", x}})[0];
    EXPECT_EQ(y.shape(), (Shape{1, x.numel()}));
    for (int64_t i = 0; i < x.numel(); ++i)
      EXPECT_EQ(y.data<float>()[i], x.data<float>()[i] + static_cast<float>(shape[0]));
  };
  for (const Shape& shape : {Shape{2, 3}, Shape{2, 3}, Shape{3, 2}, Shape{3, 2}, Shape{2, 3}})
    expect(shape);
  // A hook sees all values, and what it changes stays in its run.
  size_t seen = 0;
  session.Run({{"x", NormalTensor({2, 3}, 1)}}, [&](const Node& node, size_t, Tensor& value) {
    ++seen;
    if (node.op_type == "Cast") value = Tensor::Vector(std::vector<float>{100});
  });
  EXPECT_EQ(seen, g.nodes.size());
  expect({2, 3});
}

}  // namespace
}  // namespace mezzo
