// The basic operators through a session. Values are ONNX's to test (onnx_backend_test.cc); here it
// is what ONNX's tests do not see: layouts, storage reuse, threads, half floats, refusals.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

// A graph of nodes over the inputs; the last node's first output is the result.
struct Net {
  Graph graph;

  Net& Add(std::string op, std::vector<std::string> in, std::string out,
           std::map<std::string, Attribute> attributes = {}) {
    graph.nodes.push_back({op, "", out, std::move(in), {out}, std::move(attributes)});
    return *this;
  }
  Tensor Run(const TensorMap& inputs, size_t threads = 1) {
    graph.inputs.clear();
    for (const auto& [name, tensor] : inputs) graph.inputs.push_back({name});
    graph.outputs = {{graph.nodes.back().outputs[0]}};
    return Session(graph, {Threads(threads), KernelSet::kFast}).Run(inputs)[0];
  }
};

Tensor Ramp(Shape shape, float step = 0.01f) {
  Tensor t(DType::kFloat32, std::move(shape));
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = step * static_cast<float>(i * 37 % 1001 - 500);
  return t;
}

std::vector<float> Values(const Tensor& t) {
  const Tensor plain = t.ToLayout(Layout::kPlain);
  return {plain.data<float>(), plain.data<float>() + plain.numel()};
}

TEST(BasicOps, LayoutDoesNotChangeResults) {
  const Tensor x = Ramp({2, 5, 3, 4}), last = x.ToLayout(Layout::kChannelsLast);
  for (const Shape& other : std::vector<Shape>{
           {2, 5, 3, 4}, {}, {5, 1, 1}, {1, 5, 1, 1}, {2, 5, 1, 1}, {3, 4}, {4}, {2, 1, 3, 1}})
    for (const char* op : {"Add", "Sub", "Div", "Max", "PRelu"}) {
      SCOPED_TRACE(Cat(op, " ", ToString(other)));
      const Tensor y = Ramp(other, 0.013f);
      Net net;
      net.Add(op, {"x", "y"}, "z");
      const auto want = Values(net.Run({{"x", x}, {"y", y}}));
      EXPECT_EQ(Values(net.Run({{"x", last}, {"y", y}})), want);
    }
  for (const char* op : {"Relu", "Sigmoid", "Gelu", "HardSwish", "Abs", "Erf"})
    EXPECT_EQ(Values(Net().Add(op, {"x"}, "z").Run({{"x", last}})),
              Values(Net().Add(op, {"x"}, "z").Run({{"x", x}})));
}

TEST(BasicOps, ReductionsAndJoinsTakeChannelsLast) {
  const Tensor x = Ramp({2, 5, 3, 4}), last = x.ToLayout(Layout::kChannelsLast);
  for (const std::vector<int64_t>& axes :
       std::vector<std::vector<int64_t>>{{2, 3}, {1}, {0, 2}, {-1}, {0, 1, 2, 3}})
    for (const int64_t keep : {0, 1}) {
      Net net;
      net.Add("ReduceMax", {"x", "axes"}, "z", {{"keepdims", keep}});
      const Tensor a = Tensor::Vector(axes);
      const Tensor want = net.Run({{"x", x}, {"axes", a}}),
                   got = net.Run({{"x", last}, {"axes", a}});
      EXPECT_EQ(got.shape(), want.shape());
      EXPECT_EQ(Values(got), Values(want));
    }
  for (const int64_t axis : {0, 1, 2, 3}) {
    Net net;
    net.Add("Concat", {"x", "y"}, "z", {{"axis", axis}});
    EXPECT_EQ(Values(net.Run({{"x", last}, {"y", x}})), Values(net.Run({{"x", x}, {"y", x}})));
  }
  Net transpose;
  transpose.Add("Transpose", {"x"}, "z", {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  EXPECT_EQ(Values(transpose.Run({{"x", last}})), Values(transpose.Run({{"x", x}})));
}

TEST(BasicOps, ReusedStorageNeverChangesInputs) {
  const Tensor x = Ramp({1000});
  const auto before = Values(x);
  Net net;
  net.Add("Relu", {"x"}, "a").Add("Mul", {"a", "a"}, "b").Add("Add", {"b", "x"}, "c");
  net.Add("Softmax", {"c"}, "d").Add("Sub", {"c", "d"}, "e");
  const auto first = Values(net.Run({{"x", x}}));
  EXPECT_EQ(Values(x), before);
  for (size_t i = 0; i < before.size(); ++i) {
    const float a = std::max(before[i], 0.0f);
    ASSERT_NEAR(first[i], a * a + before[i], 1.01f);  // a softmax lies in 0..1
  }
  EXPECT_EQ(Values(net.Run({{"x", x}})), first);
}

TEST(BasicOps, ThreadsDoNotChangeResults) {
  const Tensor x = Ramp({3, 64, 33, 35}), scale = Ramp({64, 1, 1});
  Net net;
  net.Add("Gelu", {"x"}, "a").Add("Mul", {"a", "s"}, "b").Add("Softmax", {"b"}, "c");
  net.Add("Transpose", {"c"}, "d", {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
  net.Add("ReduceSum", {"d", "axes"}, "e");
  const TensorMap in = {{"x", x}, {"s", scale}, {"axes", Tensor::Vector<int64_t>({3})}};
  const auto one = Values(net.Run(in, 1));
  for (const size_t threads : {2, 3, 7}) EXPECT_EQ(Values(net.Run(in, threads)), one);
}

TEST(BasicOps, TransposeMovesEveryElement) {
  const Shape shape = {3, 17, 5, 19};
  const Tensor x = Ramp(shape, 1.0f);
  std::vector<int64_t> perm = {0, 1, 2, 3};
  do {
    const Tensor y = Net().Add("Transpose", {"x"}, "z", {{"perm", perm}}).Run({{"x", x}}, 2);
    for (int64_t i = 0; i < x.numel(); ++i) {
      const int64_t at[] = {i / (17 * 5 * 19), i / (5 * 19) % 17, i / 19 % 5, i % 19};
      int64_t j = 0;
      for (const int64_t p : perm) j = j * shape[p] + at[p];
      ASSERT_EQ(y.data<float>()[j], x.data<float>()[i]);
    }
  } while (std::ranges::next_permutation(perm).found);
}

TEST(BasicOps, HalfFloatsAreComputedInFloat) {
  const Tensor x = Ramp({40}), half = Cast(x, DType::kFloat16);
  const Tensor y = Net().Add("Exp", {"x"}, "z").Run({{"x", half}});
  EXPECT_EQ(y.dtype(), DType::kFloat16);
  const Tensor want =
      Cast(Net().Add("Exp", {"x"}, "z").Run({{"x", Cast(half, DType::kFloat32)}}), DType::kFloat16);
  EXPECT_EQ(Values(Cast(y, DType::kFloat32)), Values(Cast(want, DType::kFloat32)));
}

TEST(BasicOps, EinsumContractsManyOperands) {
  const Tensor a = Ramp({3, 4}), b = Ramp({4, 5}), c = Ramp({5, 3});
  const Tensor trace =
      Net()
          .Add("Einsum", {"a", "b", "c"}, "z", {{"equation", std::string("ij,jk,ki->")}})
          .Run({{"a", a}, {"b", b}, {"c", c}});
  double want = 0;
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 4; ++j)
      for (int k = 0; k < 5; ++k)
        want += static_cast<double>(a.data<float>()[i * 4 + j]) * b.data<float>()[j * 5 + k] *
                c.data<float>()[k * 3 + i];
  EXPECT_NEAR(*trace.data<float>(), want, 1e-4 * std::fabs(want));
}

// The message of the error that the operator ends with.
std::string Refusal(Net net, const TensorMap& in) {
  try {
    net.Run(in);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(BasicOps, RefusalsNameTheCulprit) {
  const Tensor x = Ramp({2, 3}), y = Ramp({4});
  const Tensor far = Tensor::Vector<int64_t>({7}), zero = Tensor::Vector<int64_t>({0});
  EXPECT_EQ(Refusal(Net().Add("Add", {"x", "y"}, "z"), {{"x", x}, {"y", y}}),
            "node z (Add): shapes [2,3] and [4] do not broadcast");
  EXPECT_EQ(Refusal(Net().Add("Gather", {"x", "i"}, "z"), {{"x", x}, {"i", far}}),
            "node z (Gather): index 7 is out of range for a dimension of 2");
  EXPECT_EQ(Refusal(Net().Add("Div", {"i", "o"}, "z"), {{"i", far}, {"o", zero}}),
            "node z (Div): division of an integer by zero");
  EXPECT_EQ(Refusal(Net().Add("Reshape", {"x", "i"}, "z"), {{"x", x}, {"i", far}}),
            "node z (Reshape): cannot reshape [2,3] to [7]");
  EXPECT_EQ(Refusal(Net().Add("Softmax", {"x"}, "z", {{"axis", int64_t{2}}}), {{"x", x}}),
            "node z (Softmax): axis 2 is out of range for rank 2");
}

}  // namespace
}  // namespace mezzo
