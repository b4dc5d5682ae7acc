#include "mezzo/runtime/lower.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mezzo/runtime/macs.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

// Builds Q/DQ graphs a line at a time.
class Builder {
 public:
  explicit Builder(unsigned seed, bool is_signed) : rng_(seed), signed_(is_signed) {}

  Graph graph;

  std::string Add(const std::string& op, std::vector<std::string> inputs,
                  std::map<std::string, Attribute> attributes = {}) {
    Node node;
    node.op_type = op;
    node.name = Cat(op, graph.nodes.size());
    node.inputs = std::move(inputs);
    node.outputs = {node.name + ":y"};
    node.attributes = std::move(attributes);
    graph.nodes.push_back(node);
    return node.outputs[0];
  }
  std::string Const(const Tensor& t) {
    const std::string name = Cat("c", graph.initializers.size());
    graph.initializers[name] = t;
    return name;
  }
  std::string Zero(int32_t z) { return Const(Cast(Tensor::Scalar(z), Type())); }
  DType Type() const { return signed_ ? DType::kInt8 : DType::kUInt8; }

  // QuantizeLinear and DequantizeLinear of the same grid.
  std::string Qdq(const std::string& x, float scale, int32_t zero) {
    const std::string s = Const(Tensor::Scalar(scale)), z = Zero(zero);
    return Add("DequantizeLinear", {Add("QuantizeLinear", {x, s, z}), s, z});
  }
  std::string Input(Shape shape) {
    graph.inputs.push_back({"x", DType::kFloat32, shape, {}, true});
    return Qdq("x", 0.02f, signed_ ? 3 : 120);
  }
  // Weights behind DequantizeLinear, a scale for each index of the axis.
  std::string Weights(Shape shape, int64_t axis) {
    Tensor codes(DType::kInt8, shape);
    for (int8_t& v : codes.span<int8_t>()) v = static_cast<int8_t>(rng_() % 255 - 127);
    std::vector<float> scale;
    for (int64_t n = 0; n < shape[axis]; ++n) scale.push_back(Real(0.002f, 0.01f));
    return Add("DequantizeLinear", {Const(codes), Const(Tensor::Vector(scale))}, {{"axis", axis}});
  }
  std::string Bias(int64_t n) {
    std::vector<float> b;
    for (int64_t i = 0; i < n; ++i) b.push_back(Real(-1, 1));
    return Const(Tensor::Vector(b));
  }
  float Real(float lo, float hi) { return std::uniform_real_distribution<float>(lo, hi)(rng_); }
  void Output(const std::string& value) { graph.outputs.push_back({value}); }

  Tensor RandomInput() {
    Tensor x(DType::kFloat32, graph.inputs[0].shape);
    for (float& v : x.span<float>()) v = Real(-3, 3);
    return x;
  }

 private:
  std::mt19937 rng_;
  bool signed_;
};

Tensor RunGraph(const Graph& graph, const Tensor& x, KernelSet kernels, size_t threads) {
  return Session(graph, {Threads(threads), kernels}).Run({{"x", x}})[0];
}

// The outputs are multiples of `step`: lowered, all agree but for a few that rounding moves by one.
void ExpectLowered(Builder& b, float step, const std::map<std::string, int>& made,
                   double differing = 0.002) {
  LowerReport report;
  const Graph lowered = LowerToIntegers(b.graph, &report);
  EXPECT_EQ(report.made, made);
  EXPECT_TRUE(report.kept.empty()) << report.kept[0].node << ": " << report.kept[0].reason;
  const Tensor x = b.RandomInput();
  const Tensor want = RunGraph(b.graph, x, KernelSet::kFast, 1);
  const Tensor reference = RunGraph(lowered, x, KernelSet::kReference, 1);
  int64_t off = 0;
  for (int64_t i = 0; i < want.numel(); ++i) {
    const float d = std::abs(want.data<float>()[i] - reference.data<float>()[i]) / step;
    ASSERT_LE(d, 1.001f) << "element " << i;
    off += d > 0.5f;
  }
  EXPECT_LE(off, static_cast<int64_t>(differing * static_cast<double>(want.numel())) + 1);
  for (const size_t threads : {1, 3}) {
    const Tensor fast = RunGraph(lowered, x, KernelSet::kFast, threads);
    for (int64_t i = 0; i < fast.numel(); ++i)
      ASSERT_EQ(fast.data<float>()[i], reference.data<float>()[i]) << "element " << i;
  }
}

TEST(Lower, ConvolutionsWithClippedOutputs) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    Builder b(seed, seed % 2);
    std::string x = b.Input({2, 6, 9, 7});
    x = b.Add("Conv", {x, b.Weights({10, 6, 3, 3}, 0), b.Bias(10)},
              {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
    x = b.Qdq(b.Add("Relu", {x}), 0.03f, seed % 2 ? -128 : 0);
    x = b.Add("Conv", {x, b.Weights({10, 1, 3, 3}, 0), b.Bias(10)},
              {{"group", int64_t{10}}, {"strides", std::vector<int64_t>{2, 2}}});
    const std::string lo = b.Const(Tensor::Scalar(0.0f)), hi = b.Const(Tensor::Scalar(2.0f));
    b.Output(b.Qdq(b.Add("Clip", {x, lo, hi}), 0.02f, 5));
    ExpectLowered(b, 0.02f, {{"QConv", 2}}, 0.01);
  }
}

TEST(Lower, MatMulAndItsBiasAndGemm) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    Builder b(seed, seed % 2);
    std::string x = b.Input({3, 5, 24});
    x = b.Add("Add", {b.Add("MatMul", {x, b.Weights({24, 19}, 1)}), b.Bias(19)});
    b.Output(b.Qdq(x, 0.05f, 4));
    ExpectLowered(b, 0.05f, {{"QMatMul", 1}});

    Builder g(seed + 50, seed % 2);
    x = g.Add("Gemm", {g.Input({7, 24}), g.Weights({19, 24}, 0), g.Bias(19)},
              {{"transB", int64_t{1}}});
    g.Output(g.Qdq(x, 0.05f, 4));
    ExpectLowered(g, 0.05f, {{"QMatMul", 1}});
  }
}

TEST(Lower, ProductOfTwoActivations) {
  Builder b(3, false);
  const std::string x = b.Input({2, 3, 8, 16});
  const std::string t = b.Add("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  b.Output(b.Qdq(b.Add("MatMul", {x, t}), 0.3f, 100));
  ExpectLowered(b, 0.3f, {{"QMatMul", 1}});
}

TEST(Lower, ResidualsPoolsAndConcatenation) {
  Builder b(4, false);
  const std::string x = b.Input({1, 8, 6, 6});
  const std::string p = b.Add(
      "MaxPool", {x},
      {{"kernel_shape", std::vector<int64_t>{3, 3}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  const std::string sum = b.Qdq(b.Add("Relu", {b.Add("Add", {x, p})}), 0.03f, 7);
  const std::string product = b.Qdq(b.Add("Mul", {sum, p}), 0.05f, 90);
  const std::string both =
      b.Qdq(b.Add("Concat", {sum, product}, {{"axis", int64_t{1}}}), 0.06f, 80);
  const std::string average = b.Qdq(
      b.Add("AveragePool", {both}, {{"kernel_shape", std::vector<int64_t>{2, 2}}}), 0.04f, 70);
  b.Output(b.Qdq(b.Add("GlobalAveragePool", {average}), 0.01f, 60));
  ExpectLowered(b, 0.01f,
                {{"QAdd", 1},
                 {"QAveragePool", 1},
                 {"QGlobalAveragePool", 1},
                 {"QLut", 2},
                 {"QMaxPool", 1},
                 {"QMul", 1}},
                0.2);
}

// Tables are computed by the operators themselves: not one code may differ.
TEST(Lower, ElementwiseChainsBecomeOneTable) {
  Builder b(5, true);
  const std::string x = b.Input({1, 4, 16, 16});
  const std::string s = b.Qdq(b.Add("Sigmoid", {x}), 1.0f / 256, -128);
  const std::string swish = b.Qdq(b.Add("Mul", {x, s}), 0.02f, -110);
  const std::string half = b.Const(Tensor::Scalar(0.5f));
  const std::string y = b.Add("LeakyRelu", {b.Add("Add", {b.Add("HardSwish", {swish}), half})});
  b.Output(b.Qdq(y, 0.015f, -100));
  ExpectLowered(b, 0.015f, {{"QLut", 2}}, 0.0);
}

TEST(Lower, ChainsWithAConstantForEachChannelBecomeATableForEach) {
  Builder b(7, false);
  const std::string x = b.Input({2, 3, 6, 6});
  const std::string conv = b.Qdq(b.Add("Conv", {x, b.Weights({4, 3, 1, 1}, 0)}), 0.05f, 128);
  const std::string units = b.Const(Tensor::Of<float>({0.5f, 2, 1, 0.1f}, {4, 1, 1}));
  const std::string back = b.Const(Tensor::Of<float>({1, 0.25f, 1, 10}, {1, 4, 1, 1}));
  const std::string y = b.Add("Mul", {b.Add("HardSwish", {b.Add("Mul", {conv, units})}), back});
  b.Output(b.Qdq(y, 0.02f, 10));
  ExpectLowered(b, 0.02f, {{"QConv", 1}, {"QLut", 1}}, 0.2);
}

TEST(Lower, MovesRunOnCodes) {
  Builder b(6, false);
  std::string x = b.Input({1, 4, 6, 6});
  x = b.Add("Pad", {x, b.Const(Tensor::Vector<int64_t>({0, 0, 1, 0, 0, 0, 0, 2}))});
  x = b.Add("DepthToSpace", {x}, {{"blocksize", int64_t{2}}});
  x = b.Add("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  x = b.Qdq(x, 0.02f, 120);
  x = b.Add("MatMul", {b.Add("Reshape", {x, b.Const(Tensor::Vector<int64_t>({-1, 4}))}),
                       b.Weights({4, 5}, 1)});
  b.Output(b.Qdq(x, 0.02f, 128));
  ExpectLowered(b, 0.02f, {{"QMatMul", 1}});
}

// As in attention: a product with a bias is rearranged by its own shape, and then quantized.
TEST(Lower, ProductsMakeCodesThatAreRearranged) {
  Builder b(7, false);
  const std::string x = b.Qdq(b.Input({1, 6, 8}), 0.02f, 120);
  const std::string product = b.Add("MatMul", {x, b.Weights({8, 12}, 1)});
  const std::string sum =
      b.Add("Add", {product, b.Const(Tensor::Vector(std::vector<float>(12, 0.1f)))});
  const std::string length =
      b.Add("Gather", {b.Add("Shape", {sum}), b.Const(Tensor::Vector<int64_t>({1}))});
  const std::string shape = b.Add(
      "Concat",
      {b.Const(Tensor::Vector<int64_t>({1})), length, b.Const(Tensor::Vector<int64_t>({3, 4}))},
      {{"axis", int64_t{0}}});
  const std::string parts = b.Add("Reshape", {sum, shape});
  const std::string turned =
      b.Add("Transpose", {parts}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  b.Output(b.Qdq(turned, 0.02f, 128));
  ExpectLowered(b, 0.02f, {{"QMatMul", 1}});
}

TEST(Lower, FloatOutputAndWhatStaysFloatIsNamed) {
  Builder b(7, false);
  std::string x = b.Add("Conv", {b.Input({1, 3, 5, 5}), b.Weights({4, 3, 1, 1}, 0)});
  b.Output(b.Add("Softmax", {x}, {{"axis", int64_t{1}}}));
  LowerReport report;
  const Graph lowered = LowerToIntegers(b.graph, &report);
  EXPECT_EQ(report.made, (std::map<std::string, int>{{"QConv", 1}}));
  ASSERT_EQ(report.kept.size(), 1u);
  EXPECT_EQ(report.kept[0].op_type, "Softmax");
  const Tensor in = b.RandomInput();
  const Tensor want = RunGraph(b.graph, in, KernelSet::kFast, 1);
  const Tensor got = RunGraph(lowered, in, KernelSet::kFast, 1);
  for (int64_t i = 0; i < want.numel(); ++i)
    EXPECT_NEAR(got.data<float>()[i], want.data<float>()[i], 1e-5f);
}

TEST(Lower, UnquantizedInputIsTheReason) {
  Builder b(8, false);
  b.graph.inputs.push_back({"x", DType::kFloat32, {1, 3, 5, 5}, {}, true});
  b.Output(b.Qdq(b.Add("Conv", {"x", b.Weights({4, 3, 1, 1}, 0)}), 0.1f, 1));
  LowerReport report;
  LowerToIntegers(b.graph, &report);
  ASSERT_EQ(report.kept.size(), 1u);
  EXPECT_EQ(report.kept[0].reason, "input 0 is not quantized");
}

// Int32 codes are kept as they are however coarse against the output's grid.
TEST(Lower, CodedBiasStaysInIntegers) {
  Builder b(11, false);
  const std::string x = b.Input({1, 3, 4, 4}), w = b.Weights({2, 3, 1, 1}, 0);
  const Tensor& w_scale = b.graph.initializers.at(b.graph.nodes.back().inputs[1]);
  const std::vector<float> step{0.02f * w_scale.data<float>()[0], 0.02f * w_scale.data<float>()[1]};
  const std::string bias =
      b.Add("DequantizeLinear",
            {b.Const(Tensor::Vector<int32_t>({1 << 29, -12345})), b.Const(Tensor::Vector(step))},
            {{"axis", int64_t{0}}});
  b.Output(b.Qdq(b.Add("Conv", {x, w, bias}), 1e-5f, 128));
  LowerReport report;
  LowerToIntegers(b.graph, &report);
  EXPECT_EQ(report.notes, std::vector<std::string>{});
}

// Operators that the node with this output stands for, in the order of the graph.
std::vector<std::string> ReplacedOps(const LowerReport& report, const Graph& lowered,
                                     const std::string& op) {
  std::vector<std::string> ops;
  for (const Node& node : lowered.nodes)
    if (node.op_type == op)
      for (const LowerReport::Source& s : report.replaced.at(node.outputs[0]))
        ops.push_back(s.op_type);
  return ops;
}

TEST(Lower, TellsWhatEachNodeStandsFor) {
  using Ops = std::vector<std::string>;
  Builder b(12, false);
  const std::string x = b.Input({1, 4, 6, 6});
  const std::string conv = b.Add("Conv", {x, b.Weights({4, 4, 1, 1}, 0), b.Bias(4)});
  const std::string sum = b.Qdq(b.Add("Relu", {conv}), 0.03f, 0);
  const std::string pool = b.Add("MaxPool", {sum}, {{"kernel_shape", std::vector<int64_t>{1, 1}}});
  const std::string s = b.Qdq(b.Add("Sigmoid", {pool}), 1.0f / 256, 0);
  const std::string swish = b.Qdq(b.Add("Mul", {pool, s}), 0.02f, 10);
  const std::string both = b.Qdq(b.Add("Concat", {swish, sum}, {{"axis", int64_t{1}}}), 0.02f, 10);
  const std::string product = b.Add("MatMul", {both, b.Weights({6, 5}, 1)});
  b.Output(b.Qdq(b.Add("Add", {product, b.Bias(5)}), 0.05f, 100));
  LowerReport report;
  const Graph lowered = LowerToIntegers(b.graph, &report);
  EXPECT_EQ(ReplacedOps(report, lowered, "QConv"),
            (Ops{"DequantizeLinear", "DequantizeLinear", "Conv", "Relu", "QuantizeLinear"}));
  EXPECT_EQ(ReplacedOps(report, lowered, "QMaxPool"), (Ops{"DequantizeLinear", "MaxPool"}));
  // of x * sigmoid(x), not what lies before its own input; then of the codes that Concat moves
  EXPECT_EQ(ReplacedOps(report, lowered, "QLut"),
            (Ops{"Sigmoid", "QuantizeLinear", "DequantizeLinear", "Mul", "QuantizeLinear",
                 "DequantizeLinear"}));
  EXPECT_EQ(ReplacedOps(report, lowered, "Concat"),
            (Ops{"DequantizeLinear", "Concat", "QuantizeLinear"}));
  EXPECT_EQ(ReplacedOps(report, lowered, "QMatMul"),
            (Ops{"DequantizeLinear", "DequantizeLinear", "MatMul", "Add", "QuantizeLinear"}));
  for (const Node& node : lowered.nodes) {
    const bool stayed = std::ranges::any_of(b.graph.nodes, [&](const Node& n) {
      return n.op_type == node.op_type && n.outputs == node.outputs;
    });
    EXPECT_NE(report.replaced.contains(node.outputs[0]), stayed) << node.name;
  }
}

TEST(Lower, IntegerProductsCountTheMultiplyAddsOfTheirNodes) {
  Builder b(13, true);
  const std::string x = b.Input({1, 4, 6, 8});
  const std::string conv =
      b.Qdq(b.Add("Conv", {x, b.Weights({4, 2, 3, 3}, 0)}, {{"group", int64_t{2}}}), 0.03f, 0);
  const std::string t = b.Add("Transpose", {conv}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}});
  const std::string squares = b.Qdq(b.Add("MatMul", {conv, t}), 0.1f, 0);
  const std::string rows = b.Add("Reshape", {squares, b.Const(Tensor::Vector<int64_t>({4, 16}))});
  const std::string gemm = b.Add("Gemm", {rows, b.Weights({5, 16}, 0)}, {{"transB", int64_t{1}}});
  b.Output(b.Qdq(b.Add("MatMul", {b.Qdq(gemm, 0.1f, 0), b.Weights({5, 3}, 1)}), 0.1f, 0));
  LowerReport report;
  const Graph lowered = LowerToIntegers(b.graph, &report);
  EXPECT_EQ(report.made, (std::map<std::string, int>{{"QConv", 1}, {"QMatMul", 3}}));
  const TensorMap inputs{{"x", b.RandomInput()}};
  const auto macs = CountMacs(b.graph, Session(b.graph, {}), inputs);
  EXPECT_EQ(CountMacs(lowered, Session(lowered, {}), inputs), macs);
  int64_t sum = 0;
  for (const auto& [name, n] : macs) sum += n;
  EXPECT_EQ(sum, 4 * 4 * 6 * 2 * 9 + 4 * 4 * 4 * 6 + 4 * 5 * 16 + 4 * 3 * 5);
}

// A bias of 2^31 steps would wrap: it is added in float, and said so.
TEST(Lower, BiasThatOverflowsStaysFloat) {
  Builder b(9, false);
  const std::string w = b.Weights({2, 3, 1, 1}, 0);
  const std::string bias = b.Const(Tensor::Vector<float>({3e6f, 1.0f}));
  b.Output(b.Qdq(b.Add("Conv", {b.Input({1, 3, 4, 4}), w, bias}), 2e4f, 0));
  LowerReport report;
  LowerToIntegers(b.graph, &report);
  ASSERT_EQ(report.notes.size(), 1u);
  ExpectLowered(b, 2e4f, {{"QConv", 1}});
}

}  // namespace
}  // namespace mezzo
