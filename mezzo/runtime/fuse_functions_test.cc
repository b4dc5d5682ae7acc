#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "mezzo/runtime/fuse.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

// A graph of x (3, 50) -> y made of nodes given as {operator, inputs, output}.
struct Line {
  const char* op;
  std::vector<std::string> inputs;
  const char* output;
};

Graph GraphOf(const std::vector<Line>& lines) {
  Graph g;
  g.inputs.push_back({"x", DType::kFloat32, {3, 50}, {}, true});
  g.initializers = {{"root", Tensor::Scalar(std::sqrt(2.0f))},
                    {"one", Tensor::Scalar(1.0f)},
                    {"half", Tensor::Vector<float>({0.5f})},
                    {"many", Tensor::Vector(std::vector<float>(50, 0.25f))},
                    {"step", Tensor::Scalar(0.02f)},
                    {"zero", Tensor::Scalar<uint8_t>(17)}};
  for (const Line& line : lines) {
    Node& node = g.nodes.emplace_back();
    node.op_type = node.name = line.op;
    node.inputs = line.inputs;
    node.outputs = {line.output};
  }
  g.outputs.emplace_back().name = lines.back().output;
  return g;
}

std::vector<std::string> Operators(const Graph& g) {
  std::vector<std::string> ops;
  for (const Node& node : g.nodes) ops.push_back(node.op_type);
  return ops;
}

void ExpectSameBits(const Graph& a, const Graph& b) {
  std::mt19937 rng(1);
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> x(150);
  for (float& v : x) v = normal(rng);
  const TensorMap inputs{{"x", Tensor::Of(x, {3, 50})}};
  const std::vector<Tensor> ya = Session(a, {Threads(2)}).Run(inputs);
  const std::vector<Tensor> yb = Session(b, {Threads(2)}).Run(inputs);
  for (size_t i = 0; i < ya.size(); ++i) {
    ASSERT_EQ(ya[i].dtype(), yb.at(i).dtype());
    ASSERT_EQ(ya[i].shape(), yb[i].shape());
    EXPECT_EQ(std::memcmp(ya[i].raw(), yb[i].raw(), ya[i].bytes()), 0);
  }
}

const std::vector<Line> kGelu = {{"Div", {"x", "root"}, "a"},
                                 {"Erf", {"a"}, "b"},
                                 {"Add", {"b", "one"}, "c"},
                                 {"Mul", {"x", "c"}, "d"},
                                 {"Mul", {"d", "half"}, "y"}};

TEST(FuseFunctions, TakesFactorsOfColumnsAndCodesAlong) {
  for (const bool codes : {false, true})
    for (const bool swapped : {false, true}) {
      std::vector<Line> lines = kGelu;
      lines.back().output = "e";
      if (swapped)
        lines.push_back({"Mul", {"many", "e"}, codes ? "f" : "y"});
      else
        lines.push_back({"Mul", {"e", "many"}, codes ? "f" : "y"});
      if (codes) lines.push_back({"QuantizeLinear", {"f", "step", "zero"}, "y"});
      const Graph graph = GraphOf(lines);
      Graph fused = graph;
      LowerReport report;
      FuseFunctions(fused, &report);
      EXPECT_EQ(Operators(fused), std::vector<std::string>{"Function"});
      EXPECT_EQ(report.replaced.at("y").size(), lines.size());
      ExpectSameBits(graph, fused);
    }
  // One column, which the factors make fifty of.
  Graph graph = GraphOf(kGelu);
  graph.nodes.back().outputs = {"e"};
  graph.nodes.push_back(graph.nodes.back());
  graph.nodes.back().inputs = {"e", "many"}, graph.nodes.back().outputs = {"y"};
  graph.inputs[0].shape = {3, 1};
  Graph fused = graph;
  FuseFunctions(fused, nullptr);
  EXPECT_EQ(Operators(fused), std::vector<std::string>{"Function"});
  const TensorMap inputs{{"x", Tensor::Of(std::vector<float>{-1, 0.5f, 2}, {3, 1})}};
  const Tensor a = Session(graph, {}).Run(inputs)[0], b = Session(fused, {}).Run(inputs)[0];
  ASSERT_EQ(b.shape(), (Shape{3, 50}));
  for (int64_t i = 0; i < a.numel(); ++i) EXPECT_EQ(a.data<float>()[i], b.data<float>()[i]);
}

TEST(FuseFunctions, MakesOneOfGelu) {
  const Graph graph = GraphOf(kGelu);
  Graph fused = graph;
  LowerReport report;
  FuseFunctions(fused, &report);
  EXPECT_EQ(Operators(fused), std::vector<std::string>{"Function"});
  EXPECT_EQ(report.replaced.at("y").size(), 5u);
  ExpectSameBits(graph, fused);
}

TEST(FuseFunctions, TakesInQuantizeLinear) {
  std::vector<Line> lines = kGelu;
  lines.push_back({"QuantizeLinear", {"y", "step", "zero"}, "q"});
  const Graph graph = GraphOf(lines);
  Graph fused = graph;
  FuseFunctions(fused, nullptr);
  EXPECT_EQ(Operators(fused), std::vector<std::string>{"Function"});
  ExpectSameBits(graph, fused);
}

TEST(FuseFunctions, LeavesWhatOthersRead) {
  std::vector<Line> lines = kGelu;
  lines.push_back({"Add", {"y", "b"}, "z"});  // in the same function
  for (const bool output : {false, true}) {
    const Graph graph = GraphOf(lines);
    Graph fused = graph;
    if (output) fused.outputs.emplace_back().name = "b";
    FuseFunctions(fused, nullptr);
    EXPECT_EQ(Operators(fused), std::vector<std::string>(output ? 2 : 1, "Function"));
    ExpectSameBits(graph, fused);
  }
}

TEST(FuseFunctions, LeavesWhatMayBeAnotherType) {
  Graph graph = GraphOf({{"Exp", {"x"}, "a"}, {"Tanh", {"a"}, "y"}});
  FuseFunctions(graph, nullptr);
  EXPECT_EQ(graph.nodes.size(), 2u);
}

TEST(FuseFunctions, TakesClipOneBoundOrTwo) {
  for (const std::vector<std::string>& bounds :
       {std::vector<std::string>{"half", "one"}, {"", "one"}, {"half"}, {"one", "half"}}) {
    Line clip{"Clip", {"a"}, "b"};
    clip.inputs.insert(clip.inputs.end(), bounds.begin(), bounds.end());
    const Graph graph = GraphOf({{"Add", {"x", "half"}, "a"}, clip, {"Mul", {"x", "b"}, "y"}});
    Graph fused = graph;
    FuseFunctions(fused, nullptr);
    EXPECT_EQ(Operators(fused), std::vector<std::string>{"Function"});
    ExpectSameBits(graph, fused);
  }
}

// Of shapes that repeat each other in every way.
TEST(FuseFunctions, TakesSeveralTensors) {
  const std::vector<Shape> shapes = {{3, 50},    {3, 1},    {1, 50},      {50},
                                     {1},        {1, 1},    {2, 3, 50},   {2, 1, 1},
                                     {2, 1, 50}, {2, 3, 1}, {4, 1, 3, 50}};
  for (const Shape& shape : shapes)
    for (const Shape& other : shapes) {
      if (other.size() == 3 && shape.size() == 4) continue;  // 2 and 4
      if (other.size() == 4 && shape.size() == 3) continue;
      SCOPED_TRACE(Cat(ToString(shape), ToString(other)));
      Graph graph = GraphOf({{"Neg", {"u"}, "v"},
                             {"Mul", {"x", "half"}, "a"},
                             {"Sub", {"a", "v"}, "b"},
                             {"Div", {"b", "c"}, "d"},
                             {"Max", {"d", "x"}, "e"},
                             {"Mul", {"e", "many"}, "f"},
                             {"QuantizeLinear", {"f", "step", "zero"}, "y"}});
      graph.inputs.push_back({"u", DType::kFloat32, shape, {}, true});
      std::vector<float> values(static_cast<size_t>(NumElements(other)));
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 13) + 0.3f;
      graph.initializers["c"] = Tensor::Of(values, other);
      Graph fused = graph;
      FuseFunctions(fused, nullptr);
      EXPECT_EQ(Operators(fused), (std::vector<std::string>{"Function", "Max", "Function"}));
      values.resize(static_cast<size_t>(NumElements(shape)));
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 17) - 7.7f;
      std::vector<float> x(150);
      for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 19) - 9.1f;
      const TensorMap inputs{{"x", Tensor::Of(x, {3, 50})}, {"u", Tensor::Of(values, shape)}};
      const Tensor a = Session(graph, {Threads(2)}).Run(inputs)[0];
      const Tensor b = Session(fused, {Threads(2)}).Run(inputs)[0];
      ASSERT_EQ(a.shape(), b.shape());
      EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0);
    }
}

TEST(FuseFunctions, LeavesWhatThereIsNoRoomFor) {
  std::vector<Line> lines{{"Mul", {"x", "half"}, "y0"}};
  static const char* const kNames[] = {"y0",  "y1",  "y2",  "y3",  "y4",  "y5",  "y6",
                                       "y7",  "y8",  "y9",  "y10", "y11", "y12", "y13",
                                       "y14", "y15", "y16", "y17", "y18", "y19"};
  for (size_t i = 1; i < std::size(kNames); ++i)
    lines.push_back({i % 2 ? "Add" : "Mul", {kNames[i - 1], "many"}, kNames[i]});
  for (const bool many : {false, true}) {
    Graph graph = GraphOf(lines);
    if (many)  // of inputs
      for (size_t i = 1; i < std::size(kNames); ++i) {
        graph.initializers[Cat("c", i)] = Tensor::Vector(std::vector<float>(50, 1.25f));
        graph.nodes[i].inputs[1] = Cat("c", i);
      }
    Graph fused = graph;
    FuseFunctions(fused, nullptr);
    EXPECT_EQ(fused.nodes.size(), many ? 3u : 2u);
    ExpectSameBits(graph, fused);
  }
}

// What a squeeze and a gate leave of a network with INT8 layers, channels last: codes times units
// of their channels, a hard swish, a gate for each channel of each image.
TEST(FuseFunctions, TakesCodesAndRowsOfChannels) {
  for (const int64_t channels : {3, 70, 1100}) {
    Graph g =
        GraphOf({{"QLinearConv", {"x", "step", "zero", "w", "step", "wzero", "step", "zero"}, "q"},
                 {"DequantizeLinear", {"q", "step", "zero"}, "d"},
                 {"Mul", {"d", "units"}, "t"},
                 {"Add", {"t", "half"}, "s"},
                 {"Clip", {"s", "low", "one"}, "c"},
                 {"Mul", {"t", "c"}, "h"},
                 {"Div", {"h", "root"}, "u"},
                 {"GlobalAveragePool", {"u"}, "m"},
                 {"Sigmoid", {"m"}, "gate"},
                 {"Mul", {"u", "gate"}, "v"},
                 {"Mul", {"v", "units"}, "f"},
                 {"QuantizeLinear", {"f", "step", "zero"}, "y"}});
    g.inputs[0] = {"x", DType::kUInt8, {2, channels, 3, 5}, {}, true};
    std::vector<float> units;
    for (int64_t c = 0; c < channels; ++c)
      units.push_back(0.5f + 0.01f * static_cast<float>(c % 9));
    g.initializers["units"] = Tensor::Of(units, {1, channels, 1, 1});
    g.initializers["low"] = Tensor::Scalar(0.0f);
    g.initializers["wzero"] = Tensor::Scalar<int8_t>(0);
    g.initializers["w"] =
        Tensor::Of(std::vector<int8_t>(static_cast<size_t>(channels), 49), {channels, 1, 1, 1});
    g.nodes[0].attributes["group"] = channels;
    Graph fused = g;
    FuseFunctions(fused, nullptr);
    EXPECT_EQ(Operators(fused), (std::vector<std::string>{"QLinearConv", "Function",
                                                          "GlobalAveragePool", "Function"}));
    std::mt19937 rng(3);
    std::vector<uint8_t> x(static_cast<size_t>(2 * channels * 15));
    for (uint8_t& v : x) v = static_cast<uint8_t>(rng());
    const TensorMap inputs{{"x", Tensor::Of(x, {2, channels, 3, 5})}};
    for (const size_t threads : {1, 3}) {
      const Tensor a = Session(g, {Threads(threads)}).Run(inputs)[0];
      const Tensor b = Session(fused, {Threads(threads)}).Run(inputs)[0];
      ASSERT_EQ(a.shape(), b.shape());
      EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0) << channels;
    }
  }
}

TEST(FuseSoftmax, TakesInScaleMaskAndQuantizeLinear) {
  const Line scale = {"Div", {"x", "root"}, "a"}, softmax = {"Softmax", {"b"}, "c"};
  const Line quantize = {"QuantizeLinear", {"c", "step", "zero"}, "y"};
  const std::vector<std::vector<Line>> graphs = {
      {scale, {"Add", {"many", "a"}, "b"}, softmax, quantize},
      {scale, {"Add", {"a", "tall"}, "b"}, softmax, quantize},  // the mask is the larger one
      {{"Add", {"x", "one"}, "b"}, softmax, quantize},
      {{"Mul", {"x", "half"}, "b"}, softmax, quantize},
      {{"Neg", {"x"}, "b"}, softmax, quantize}};
  for (size_t i = 0; i < graphs.size(); ++i) {
    Graph graph = GraphOf(graphs[i]);
    graph.initializers["tall"] =
        Tensor::Of(std::vector<float>{0, -1, -INFINITY, 2, 3, 4}, {2, 3, 1});
    Graph fused = graph;
    LowerReport report;
    FuseSoftmax(fused, &report);
    EXPECT_EQ(fused.nodes.size(), i == 4 ? 2u : 1u);
    EXPECT_EQ(fused.nodes.back().domain, "mezzo");
    EXPECT_EQ(report.replaced.at("y").size(), graphs[i].size() - (i == 4));
    ExpectSameBits(graph, fused);
  }
}

TEST(FuseNormalization, TakesInTheSumAndTheCodes) {
  const Line half = {"Mul", {"x", "half"}, "a"}, add = {"Add", {"x", "a"}, "sum"};
  const Line norm = {"LayerNormalization", {"sum", "many", "shift"}, "n"};
  const Line quantize = {"QuantizeLinear", {"n", "step", "zero"}, "y"};
  const std::vector<Line> rest = {add, norm, quantize};
  struct {
    std::vector<Line> first, rest;
    std::vector<const char*> outputs;
    size_t nodes;  // that are left
  } const cases[] = {{{half}, rest, {"y"}, 2},
                     {{half}, rest, {"n", "y"}, 2},
                     {{half}, rest, {"y", "sum", "n"}, 2},
                     {{half}, {add, norm}, {"n"}, 2},
                     {{half}, {add, {"LayerNormalization", {"sum", "many"}, "n"}}, {"n"}, 2},
                     {{{"ReduceMax", {"x", "last"}, "a"}}, rest, {"n", "y"}, 2},  // a column
                     {{{"ReduceMax", {"x", "all"}, "a"}}, rest, {"n", "y"}, 2},   // a number
                     {{{"Gather", {"x", "index"}, "a"}}, rest, {"n", "y"}, 2},    // a row
                     {{}, {{"Add", {"x", "many"}, "sum"}, norm, quantize}, {"y"}, 3}};
  for (size_t i = 0; i < std::size(cases); ++i) {
    SCOPED_TRACE(i);
    std::vector<Line> lines = cases[i].first;
    lines.insert(lines.end(), cases[i].rest.begin(), cases[i].rest.end());
    Graph graph = GraphOf(lines);
    graph.initializers["shift"] = Tensor::Vector(std::vector<float>(50, -0.5f));
    graph.initializers["last"] = Tensor::Vector<int64_t>({1});
    graph.initializers["all"] = Tensor::Vector<int64_t>({0, 1});
    graph.initializers["index"] = Tensor::Scalar<int64_t>(1);
    graph.outputs.clear();
    for (const char* name : cases[i].outputs) graph.outputs.emplace_back().name = name;
    Graph fused = graph;
    LowerReport report;
    FuseNormalization(fused, &report);
    EXPECT_EQ(fused.nodes.size(), cases[i].nodes);
    ExpectSameBits(graph, fused);
  }
}

TEST(FuseOffsets, AreAddedByTheProduct) {
  std::mt19937 rng(4);
  Graph graph;
  graph.inputs.push_back({"x", DType::kUInt8, {3, 50}, {}, true});
  std::vector<int8_t> w(50 * 20);
  for (int8_t& v : w) v = static_cast<int8_t>(rng());
  std::vector<float> bias(20);
  for (float& v : bias) v = static_cast<float>(rng() % 1000) * 0.37f;
  graph.initializers = {{"w", Tensor::Of(w, {50, 20})}, {"bias", Tensor::Vector(bias)}};
  Node product;
  product.op_type = "QMatMul", product.domain = "mezzo", product.name = "product";
  product.inputs = {"x", "w"}, product.outputs = {"p"};
  product.attributes = {{"scales", std::vector<float>{0.013f}}, {"y_type", std::string("float32")}};
  Node add;
  add.op_type = add.name = "Add", add.inputs = {"bias", "p"}, add.outputs = {"y"};
  graph.nodes = {product, add};
  graph.outputs.emplace_back().name = "y";
  Graph fused = graph;
  FuseOffsets(fused, nullptr);
  EXPECT_EQ(Operators(fused), std::vector<std::string>{"QMatMul"});
  std::vector<uint8_t> x(150);
  for (uint8_t& v : x) v = static_cast<uint8_t>(rng());
  const TensorMap inputs{{"x", Tensor::Of(x, {3, 50})}};
  for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
    const Tensor a = Session(graph, {Threads(), kernels}).Run(inputs)[0];
    const Tensor b = Session(fused, {Threads(), kernels}).Run(inputs)[0];
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), a.bytes()), 0);
  }
}

}  // namespace
}  // namespace mezzo
