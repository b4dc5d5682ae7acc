#include "mezzo/runtime/fuse.h"

#include <gtest/gtest.h>

#include <random>

#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

struct Case {
  const char *conv_type, *add_type;
  bool conv_first, depthwise, broadcast;
};

Node Make(const char* op, const char* name, std::vector<std::string> inputs, const char* output) {
  Node node;
  node.domain = "mezzo";
  node.op_type = op;
  node.name = name;
  node.inputs = std::move(inputs);
  node.outputs = {output};
  return node;
}

// x (2, C, 5, 6) through a 3 x 3 convolution, and r added to it.
Graph ConvAndAdd(const Case& c, std::mt19937& rng) {
  const int64_t channels = c.depthwise ? 20 : 7, out = 20, group = c.depthwise ? 20 : 1;
  Graph g;
  const auto value = [](const char* name, DType type, Shape shape) {
    ValueInfo v;
    v.name = name, v.dtype = type, v.has_shape = true, v.shape = std::move(shape);
    return v;
  };
  const int64_t h = c.broadcast ? 1 : 5, width = c.broadcast ? 1 : 6;
  g.inputs = {value("x", DType::kUInt8, {2, channels, 5, 6}),
              value("r", DType::kInt8, {2, out, h, width})};
  std::vector<int8_t> w(static_cast<size_t>(out * channels / group * 9));
  for (int8_t& v : w) v = static_cast<int8_t>(rng());
  g.initializers["w"] = Tensor::Of(w, {out, channels / group, 3, 3});
  Node conv = Make("QConv", "conv", {"x", "w"}, "c");
  conv.attributes = {{"pads", std::vector<int64_t>{1, 1, 1, 1}},
                     {"group", group},
                     {"x_zero_point", int64_t{100}},
                     {"scales", std::vector<float>{0.004f}},
                     {"y_type", std::string(c.conv_type)},
                     {"y_zero_point", int64_t{3}},
                     {"lo", int64_t{-60}},
                     {"hi", int64_t{120}}};
  Node add = Make("QAdd", "add", {"c", "r"}, "y");
  if (!c.conv_first) std::swap(add.inputs[0], add.inputs[1]);
  add.attributes = {{"a_scale", 0.5f},
                    {"b_scale", 0.3f},
                    {"y_scale", 0.7f},
                    {"a_zero_point", int64_t{2}},
                    {"b_zero_point", int64_t{9}},
                    {"y_type", std::string(c.add_type)},
                    {"y_zero_point", int64_t{1}}};
  g.nodes = {conv, add};
  g.outputs.emplace_back().name = "y";
  return g;
}

template <class T>
Tensor Random(const Shape& shape, std::mt19937& rng) {
  std::vector<T> v(static_cast<size_t>(NumElements(shape)));
  for (T& x : v) x = static_cast<T>(rng());
  return Tensor::Of(v, shape);
}

std::vector<uint8_t> Bytes(const Graph& g, const TensorMap& inputs, KernelSet kernels) {
  const Tensor y = Session(g, {Threads(2), kernels}).Run(inputs)[0];
  const auto* p = static_cast<const uint8_t*>(y.raw());
  return {p, p + y.bytes()};
}

TEST(FuseAdditions, GivesTheSameBits) {
  std::mt19937 rng(8);
  for (const Case& c : {Case{"uint8", "uint8", true, false, false},
                        {"int8", "uint8", false, false, false},
                        {"uint8", "int8", false, true, false},
                        {"int8", "int8", true, false, true}}) {
    const Graph graph = ConvAndAdd(c, rng);
    Graph fused = graph;
    FuseAdditions(fused, nullptr);
    ASSERT_EQ(fused.nodes.size(), 1u);
    const TensorMap inputs{{"x", Random<uint8_t>(graph.inputs[0].shape, rng)},
                           {"r", Random<int8_t>(graph.inputs[1].shape, rng)}};
    const std::vector<uint8_t> want = Bytes(graph, inputs, KernelSet::kReference);
    EXPECT_EQ(Bytes(fused, inputs, KernelSet::kReference), want);
    EXPECT_EQ(Bytes(fused, inputs, KernelSet::kFast), want);
  }
}

TEST(FuseAdditions, LeavesCodesThatOthersRead) {
  std::mt19937 rng(9);
  Graph graph = ConvAndAdd({"uint8", "uint8", true, false, false}, rng);
  graph.outputs.emplace_back().name = "c";
  FuseAdditions(graph, nullptr);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(FuseAdditions, SaysWhatTheNodeStandsFor) {
  std::mt19937 rng(10);
  Graph graph = ConvAndAdd({"uint8", "uint8", true, false, false}, rng);
  LowerReport report;
  report.replaced["c"] = {{"conv", "Conv"}};
  report.replaced["y"] = {{"add", "Add"}};
  FuseAdditions(graph, &report);
  ASSERT_EQ(report.replaced["y"].size(), 2u);
  EXPECT_EQ(report.replaced["y"][0].node, "conv");
  EXPECT_EQ(report.replaced["y"][1].node, "add");
  EXPECT_FALSE(report.replaced.contains("c"));
}

}  // namespace
}  // namespace mezzo
