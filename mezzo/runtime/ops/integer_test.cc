// ONNX's integer operators against loops written from its specification, on both kernel sets.
#include "mezzo/runtime/ops/integer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

struct Case {
  Graph graph;
  TensorMap inputs;

  Case(const std::string& op, std::map<std::string, Attribute> attributes = {}) {
    Node node;
    node.op_type = op;
    node.name = op;
    node.attributes = std::move(attributes);
    node.outputs = {"y"};
    graph.nodes = {node};
    graph.outputs = {{"y"}};
  }
  // Constant inputs take the path that keeps packed weights.
  Case& In(const std::string& name, const Tensor& t, bool constant) {
    graph.nodes[0].inputs.push_back(name);
    if (constant) {
      graph.initializers[name] = t;
    } else {
      graph.inputs.push_back({name, t.dtype(), t.shape(), {}, true});
      inputs[name] = t;
    }
    return *this;
  }
  Tensor Run(KernelSet kernels, size_t threads = 1) const {
    const Session session(graph, {Threads(threads), kernels});
    session.Run(inputs);
    return session.Run(inputs)[0];  // the second run, from what the first has kept
  }
};

template <class T>
std::vector<T> Values(const Tensor& t) {
  return {t.span<T>().begin(), t.span<T>().end()};
}

TEST(IntegerOps, MatMulIntegerTakesEveryFormOfZeroPoint) {
  const Tensor a = Tensor::Of<uint8_t>({11, 7, 3, 10, 6, 2}, {2, 3});
  const Tensor b = Tensor::Of<int8_t>({1, 4, -2, 5, 3, -6}, {3, 2});
  for (const bool constant : {false, true})
    for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
      Case per_row("MatMulInteger");
      per_row.In("a", a, false).In("b", b, constant);
      per_row.In("az", Tensor::Vector<uint8_t>({12, 5}), constant);
      per_row.In("bz", Tensor::Vector<int8_t>({1, -1}), constant);
      // rows less 12 and 5; columns less 1 and -1
      EXPECT_EQ(Values<int32_t>(per_row.Run(kernels)),
                (std::vector<int32_t>{-1 * 0 + -5 * -3 + -9 * 2, -1 * 5 + -5 * 6 + -9 * -5,
                                      5 * 0 + 1 * -3 + -3 * 2, 5 * 5 + 1 * 6 + -3 * -5}));
    }
}

TEST(IntegerOps, QLinearMatMulBroadcastsBatches) {
  const Tensor a = Tensor::Of<int8_t>({1, 2, 3, 4, -5, 6, 7, 8}, {2, 2, 2});
  const Tensor b = Tensor::Of<uint8_t>({130, 127, 128, 131}, {1, 2, 2});
  for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
    Case c("QLinearMatMul");
    c.In("a", a, false)
        .In("as", Tensor::Scalar(0.5f), true)
        .In("az", Tensor::Scalar<int8_t>(0), true);
    c.In("b", b, false)
        .In("bs", Tensor::Scalar(1.0f), true)
        .In("bz", Tensor::Scalar<uint8_t>(128), true);
    c.In("ys", Tensor::Scalar(1.0f), true).In("yz", Tensor::Scalar<int8_t>(1), true);
    // products by [[2, -1], [0, 3]], halved, rounded to even, plus 1
    EXPECT_EQ(Values<int8_t>(c.Run(kernels)), (std::vector<int8_t>{2, 3, 4, 5, -4, 13, 8, 9}));
  }
}

TEST(IntegerOps, QLinearConvHasScalesPerChannel) {
  const Tensor x = Tensor::Of<uint8_t>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  const Tensor w = Tensor::Of<int8_t>({1, 1, 1, 1, -1, 0, 0, 2}, {2, 1, 2, 2});
  for (const bool constant : {false, true})
    for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
      Case c("QLinearConv",
             {{"strides", std::vector<int64_t>{2, 2}}, {"pads", std::vector<int64_t>{0, 0, 1, 1}}});
      c.In("x", x, false).In("xs", Tensor::Scalar(1.0f), constant);
      c.In("xz", Tensor::Scalar<uint8_t>(1), constant).In("w", w, constant);
      c.In("ws", Tensor::Vector<float>({1.0f, 0.5f}), constant);
      c.In("wz", Tensor::Vector<int8_t>({0, 0}), constant);
      c.In("ys", Tensor::Scalar(1.0f), constant).In("yz", Tensor::Scalar<uint8_t>(10), constant);
      c.In("bias", Tensor::Vector<int32_t>({0, 1}), constant);
      // x less 1: 0 1 2 / 3 4 5 / 6 7 8, padded with 0 below and to the right
      EXPECT_EQ(Values<uint8_t>(c.Run(kernels, 2)),
                (std::vector<uint8_t>{18, 17, 23, 18, 14, 10, 8, 6}));
    }
}

TEST(IntegerOps, ConvIntegerPadsWithTheZeroPoint) {
  Case c("ConvInteger", {{"pads", std::vector<int64_t>{1, 1}}});
  c.In("x", Tensor::Of<uint8_t>({5, 6, 7}, {1, 1, 3}), false);
  c.In("w", Tensor::Of<uint8_t>({3, 4, 5}, {1, 1, 3}), true);
  c.In("xz", Tensor::Scalar<uint8_t>(5), true).In("wz", Tensor::Scalar<uint8_t>(4), true);
  for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference})
    EXPECT_EQ(Values<int32_t>(c.Run(kernels)), (std::vector<int32_t>{1, 2, -1}));
}

TEST(IntegerOps, RefuseWhatTheyCannotRead) {
  Case c("MatMulInteger");
  c.In("a", Tensor::Of<float>({1}, {1, 1}), false).In("b", Tensor::Of<int8_t>({1}, {1, 1}), true);
  EXPECT_THROW(c.Run(KernelSet::kFast), UsageError);
}

}  // namespace
}  // namespace mezzo
