// Every rule against central differences of the operator itself.
#include "mezzo/runtime/gradient/gradient.h"

#include <gtest/gtest.h>

#include "mezzo/runtime/gradient/check_test.h"

namespace mezzo {
namespace {

using Ints = std::vector<int64_t>;
Tensor IntVector(Ints v) { return Tensor::Vector(v); }

TEST(Gradient, Unary) {
  for (const char* op : {"Relu", "Sigmoid", "Tanh", "Exp", "Neg", "Abs", "Erf", "Gelu", "Swish",
                         "LeakyRelu", "HardSigmoid", "HardSwish", "Identity"})
    Check(OneOp(op).In(Random({3, 5}, 1, 0.05f, 2)));
  for (const char* op : {"Relu", "Abs", "LeakyRelu", "Gelu", "Swish", "Erf"})
    Check(OneOp(op).In(Random({3, 5}, 2, -2, -0.05f)));
  for (const char* op : {"Sqrt", "Log", "Reciprocal"}) Check(OneOp(op).In(Random({2, 7}, 3, 1, 2)));
  Check(OneOp("Gelu", {{"approximate", std::string("tanh")}}).In(Random({4, 4}, 4, -3, 3)));
  Check(OneOp("Swish", {{"alpha", 1.5f}}).In(Random({4, 4}, 5)));
  Check(OneOp("HardSwish").In(Random({2, 3}, 6, 3.1f, 5)));
  Check(OneOp("HardSwish").In(Random({2, 3}, 6, -5, -3.1f)));
  Check(OneOp("Clip")
            .In(Random({40}, 8))
            .In(Tensor::Scalar(-0.5f), true)
            .In(Tensor::Scalar(0.3f), true),
        1e-4f, 1e-2f, {"x1", "x2"});
}

TEST(Gradient, BinaryOperatorsBroadcast) {
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Max", "Min"}) {
    Check(OneOp(op).In(Random({2, 3, 4}, 1)).In(Random({3, 1}, 2, 1.2f, 2)));
    Check(OneOp(op).In(Random({4}, 3)).In(Random({2, 1, 4}, 4, 1.2f, 2)));
  }
  Check(OneOp("Sum").In(Random({2, 3}, 1)).In(Random({3}, 2)).In(Random({2, 1}, 3)));
  Check(OneOp("Pow").In(Random({2, 3}, 5, 0.5f, 2)).In(Random({3}, 6, 1, 2)));
  Check(OneOp("Pow").In(Random({2, 3}, 7)).In(Tensor::Scalar(int64_t{2}), true));
}

TEST(Gradient, Movement) {
  const Tensor x = Random({2, 3, 4}, 1);
  Check(OneOp("Reshape").In(x).In(IntVector({4, 6}), true));
  Check(OneOp("Flatten").In(x));
  Check(OneOp("Transpose", {{"perm", Ints{2, 0, 1}}}).In(x));
  Check(OneOp("Transpose").In(x));
  Check(OneOp("Expand").In(Random({3, 1}, 2)).In(IntVector({2, 3, 4}), true));
  Check(OneOp("Slice")
            .In(x)
            .In(IntVector({1, 3}), true)
            .In(IntVector({3, -5}), true)
            .In(IntVector({1, 2}), true)
            .In(IntVector({1, -2}), true));
  Check(OneOp("Gather", {{"axis", int64_t{1}}})
            .In(x)
            .In(Tensor::Of<int64_t>({2, 0, 2, 2}, {2, 2}), true));
  Check(OneOp("Split", {{"axis", int64_t{2}}, {"num_outputs", int64_t{2}}}, 2).In(x));
  Check(OneOp("Tile").In(x).In(IntVector({1, 2, 2}), true));
  Check(OneOp("DepthToSpace", {{"blocksize", int64_t{2}}}).In(Random({1, 8, 2, 3}, 3)));
  Check(OneOp("Pad").In(x).In(IntVector({0, 1, 2, 1, 0, 3}), true).In(Tensor::Scalar(7.0f), true),
        1e-2f, 3e-3f, {"x2"});
  Check(OneOp("Pad", {{"mode", std::string("reflect")}})
            .In(x)
            .In(IntVector({0, 1, 2, 0, 0, 3}), true));
  Check(OneOp("Concat", {{"axis", int64_t{1}}}).In(x).In(Random({2, 1, 4}, 4)).In(x));
  Tensor condition(DType::kBool, {3, 4});
  for (int64_t i = 0; i < 12; ++i) condition.data<bool>()[i] = i % 3 == 0;
  Check(OneOp("Where").In(condition, true).In(x).In(Random({4}, 5)));
}

TEST(Gradient, Products) {
  Check(OneOp("MatMul").In(Random({2, 3, 4}, 1)).In(Random({4, 5}, 2), true));
  Check(OneOp("MatMul").In(Random({2, 3, 4}, 1)).In(Random({4, 5}, 2)));
  Check(OneOp("MatMul").In(Random({2, 1, 3, 4}, 3)).In(Random({2, 4, 2}, 4)));
  for (const int64_t a : {0, 1})
    for (const int64_t b : {0, 1})
      for (const bool constant : {false, true})
        Check(OneOp("Gemm", {{"transA", a}, {"transB", b}, {"alpha", 0.5f}, {"beta", 2.0f}})
                  .In(Random(a ? Shape{4, 3} : Shape{3, 4}, 5))
                  .In(Random(b ? Shape{5, 4} : Shape{4, 5}, 6), constant)
                  .In(Random({5}, 7)));
}

TEST(Gradient, Convolutions) {
  struct Case {
    Shape x, w;
    Ints strides, pads, dilations;
    int64_t group;
  };
  for (const Case& c : std::vector<Case>{
           {{2, 3, 5, 4}, {4, 3, 1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
           {{1, 3, 5, 4}, {4, 3, 1, 1}, {2, 2}, {0, 0, 0, 0}, {1, 1}, 1},
           {{2, 2, 6, 5}, {3, 2, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
           {{1, 2, 7, 6}, {3, 2, 3, 2}, {2, 3}, {1, 0, 2, 1}, {1, 1}, 1},
           {{1, 2, 8, 8}, {2, 2, 3, 3}, {1, 2}, {2, 2, 2, 2}, {2, 2}, 1},
           {{1, 4, 6, 6}, {6, 2, 3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 2},
           {{2, 5, 6, 6}, {5, 1, 3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 5},
           {{1, 5, 7, 6}, {5, 1, 3, 3}, {2, 2}, {0, 1, 1, 0}, {1, 1}, 5},
           {{1, 3, 9}, {2, 3, 4}, {2}, {1, 2}, {1}, 1},
       })
    for (const bool constant : {true, false})
      Check(OneOp("Conv", {{"strides", c.strides},
                           {"pads", c.pads},
                           {"dilations", c.dilations},
                           {"group", c.group}})
                .In(Random(c.x, 1))
                .In(Random(c.w, 2), constant)
                .In(Random({c.w[0]}, 3)));
}

TEST(Gradient, PoolsAndReductions) {
  Tensor distinct(DType::kFloat32, {1, 2, 6, 5});
  for (int64_t i = 0; i < distinct.numel(); ++i)
    distinct.data<float>()[i] = 0.1f * static_cast<float>(i * 17 % 61);
  Check(OneOp("MaxPool",
              {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 1}}, {"pads", Ints{1, 0, 1, 1}}})
            .In(distinct));
  for (const int64_t include : {0, 1})
    Check(OneOp("AveragePool", {{"kernel_shape", Ints{3, 3}},
                                {"strides", Ints{2, 2}},
                                {"pads", Ints{1, 1, 1, 1}},
                                {"ceil_mode", int64_t{1}},
                                {"count_include_pad", include}})
              .In(Random({2, 3, 6, 5}, 1)));
  Check(OneOp("GlobalAveragePool").In(Random({2, 3, 4, 5}, 2)));
  for (const char* op : {"ReduceSum", "ReduceMean"})
    for (const int64_t keep : {0, 1}) {
      Check(OneOp(op, {{"keepdims", keep}}).In(Random({2, 3, 4}, 3)).In(IntVector({-1, 0}), true));
      Check(OneOp(op, {{"keepdims", keep}}).In(Random({2, 3, 4}, 3)));
    }
  for (const char* op : {"ReduceMax", "ReduceMin"})
    Check(OneOp(op).In(distinct).In(IntVector({2}), true));
}

TEST(Gradient, Norms) {
  for (const char* op : {"Softmax", "LogSoftmax"})
    for (const int64_t axis : {-1, 1})
      Check(OneOp(op, {{"axis", axis}}).In(Random({2, 5, 3}, 1, -2, 2)));
  for (const int64_t axis : {-1, 1}) {
    const Shape tail = axis == 1 ? Shape{3, 4} : Shape{4};
    Check(OneOp("LayerNormalization", {{"axis", axis}})
              .In(Random({2, 3, 4}, 2))
              .In(Random(tail, 3))
              .In(Random(tail, 4)),
          1e-2f, 1e-2f);
    Check(OneOp("RMSNormalization", {{"axis", axis}}).In(Random({2, 3, 4}, 5)).In(Random(tail, 6)),
          1e-2f, 1e-2f);
  }
  Check(OneOp("BatchNormalization")
            .In(Random({2, 3, 2, 2}, 1))
            .In(Random({3}, 2, 0.5f, 2))
            .In(Random({3}, 3))
            .In(Random({3}, 4), true)
            .In(Random({3}, 5, 0.5f, 2), true),
        1e-2f, 3e-3f, {"x3", "x4"});
}

TEST(Gradient, AttentionAndRotation) {
  for (const int64_t causal : {0, 1}) {
    Check(OneOp("Attention",
                {{"q_num_heads", int64_t{4}}, {"kv_num_heads", int64_t{2}}, {"is_causal", causal}})
              .In(Random({1, 3, 8}, 1))
              .In(Random({1, 3, 4}, 2))
              .In(Random({1, 3, 4}, 3)));
    Check(OneOp("Attention", {{"is_causal", causal}, {"scale", 0.7f}})
              .In(Random({2, 2, 3, 4}, 4))
              .In(Random({2, 2, 5, 4}, 5))
              .In(Random({2, 2, 5, 3}, 6)));
  }
  const Tensor angles = Random({4, 2}, 7, -3, 3);
  Tensor cos = angles.Clone(), sin = angles.Clone();
  for (int64_t i = 0; i < 8; ++i) {
    cos.data<float>()[i] = std::cos(angles.data<float>()[i]);
    sin.data<float>()[i] = std::sin(angles.data<float>()[i]);
  }
  for (const int64_t interleaved : {0, 1}) {
    OneOp rotary("RotaryEmbedding", {{"num_heads", int64_t{2}}, {"interleaved", interleaved}});
    rotary.In(Random({1, 4, 8}, 8))
        .In(cos, true)
        .In(sin, true)
        .In(Tensor::Of<int64_t>({0, 1, 3, 2}, {1, 4}), true);
    Check(rotary, 1e-2f, 3e-3f, {"x1", "x2"});
  }
}

// Straight through between the ends of the grid, -10 to 245 steps of a quarter; none beyond.
TEST(Gradient, PassesCodesWhereTheyMove) {
  OneOp op("QuantizeLinear");
  op.In(Tensor::Vector<float>({-3, -2.5f, 0.1f, 61.25f, 62}))
      .In(Tensor::Scalar(0.25f), true)
      .In(Tensor::Scalar(uint8_t{10}), true);
  op.graph.nodes.push_back({"DequantizeLinear", "", "dq", {"y0", "x1", "x2"}, {"z"}, {}});
  op.graph.outputs = {{"z"}};
  const Gradient gradient(op.graph, {"x0"}, {});
  gradient.Reverse(gradient.Forward(op.inputs), {Tensor::Vector<float>({1, 2, 3, 4, 5})},
                   [](const std::string&, const Tensor& g) {
                     EXPECT_TRUE(SameBits(g, Tensor::Vector<float>({0, 2, 3, 4, 0})));
                   });
}

// A chain with a value read twice, a branch that needs no gradient, and constants: gradients of
// weights, activations and inputs come once each.
TEST(Gradient, AddsUpWhatReadersGive) {
  Graph g;
  g.inputs = {{"x", DType::kFloat32, {2, 3}, {}, true}};
  g.initializers["w"] = Random({3, 3}, 1);
  const auto add = [&](const char* op, std::vector<std::string> in, const char* out) {
    g.nodes.push_back({op, "", out, std::move(in), {out}, {}});
  };
  add("MatMul", {"x", "w"}, "a");
  add("Relu", {"a"}, "b");
  add("MatMul", {"b", "w"}, "c");
  add("Mul", {"c", "b"}, "d");
  add("Shape", {"d"}, "shape");
  add("Reshape", {"d", "shape"}, "y");
  g.outputs = {{"y"}};
  const Gradient gradient(g, {"w", "b", "x"}, {});
  const TensorMap inputs{{"x", Random({2, 3}, 2)}};
  const Tape tape = gradient.Forward(inputs);
  const Tensor direction = Random({2, 3}, 3);
  TensorMap got;
  gradient.Reverse(tape, {direction}, [&](const std::string& value, const Tensor& t) {
    EXPECT_TRUE(got.emplace(value, t).second) << value;
  });
  ASSERT_EQ(got.size(), 3u);
  const float step = 1e-2f;
  for (int64_t i = 0; i < 9; ++i) {
    const auto moved = [&](float by) {
      Graph h = g;
      h.initializers["w"] = g.initializers["w"].Clone();
      h.initializers["w"].data<float>()[i] += by;
      return Along(Session(h, {}).Run(inputs), {direction});
    };
    const double want = (moved(step) - moved(-step)) / (2 * static_cast<double>(step));
    EXPECT_NEAR(got["w"].data<float>()[i], want, 5e-3) << i;
  }
  EXPECT_TRUE(SameBits(gradient.Value(tape, "y"), tape.outputs[0]));
}

TEST(Gradient, RefusesWhatItCannotFollow) {
  OneOp op("Round");
  op.In(Random({3}, 1));
  EXPECT_THROW(Gradient(op.graph, {"x0"}, {}), UsageError);
  EXPECT_THROW(Gradient(op.graph, {"nothing"}, {}), UsageError);
  EXPECT_NO_THROW(Gradient(op.graph, {"y0"}, {}));
}

}  // namespace
}  // namespace mezzo
