// ONNX's integer operators against loops written from its specification, on both kernel sets.
#include "mezzo/runtime/ops/integer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/runtime/ops/one_op_test.h"

namespace mezzo {
namespace {

template <class T>
std::vector<T> Values(const Tensor& t) {
  return {t.span<T>().begin(), t.span<T>().end()};
}

TEST(IntegerOps, MatMulIntegerTakesEveryFormOfZeroPoint) {
  const Tensor a = Tensor::Of<uint8_t>({11, 7, 3, 10, 6, 2}, {2, 3});
  const Tensor b = Tensor::Of<int8_t>({1, 4, -2, 5, 3, -6}, {3, 2});
  for (const bool constant : {false, true})
    for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
      OneOp per_row("MatMulInteger");
      per_row.In(a).In(b, constant);
      per_row.In(Tensor::Vector<uint8_t>({12, 5}), constant);
      per_row.In(Tensor::Vector<int8_t>({1, -1}), constant);
      // rows less 12 and 5; columns less 1 and -1
      EXPECT_EQ(Values<int32_t>(per_row.Run(1, kernels)[0]),
                (std::vector<int32_t>{-1 * 0 + -5 * -3 + -9 * 2, -1 * 5 + -5 * 6 + -9 * -5,
                                      5 * 0 + 1 * -3 + -3 * 2, 5 * 5 + 1 * 6 + -3 * -5}));
    }
}

TEST(IntegerOps, QLinearMatMulBroadcastsBatches) {
  const Tensor a = Tensor::Of<int8_t>({1, 2, 3, 4, -5, 6, 7, 8}, {2, 2, 2});
  const Tensor b = Tensor::Of<uint8_t>({130, 127, 128, 131}, {1, 2, 2});
  for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
    OneOp c("QLinearMatMul");
    c.In(a).In(Tensor::Scalar(0.5f), true).In(Tensor::Scalar<int8_t>(0), true);
    c.In(b).In(Tensor::Scalar(1.0f), true).In(Tensor::Scalar<uint8_t>(128), true);
    c.In(Tensor::Scalar(1.0f), true).In(Tensor::Scalar<int8_t>(1), true);
    // products by [[2, -1], [0, 3]], halved, rounded to even, plus 1
    EXPECT_EQ(Values<int8_t>(c.Run(1, kernels)[0]),
              (std::vector<int8_t>{2, 3, 4, 5, -4, 13, 8, 9}));
  }
}

TEST(IntegerOps, QLinearConvHasScalesPerChannel) {
  const Tensor x = Tensor::Of<uint8_t>({1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 1, 3, 3});
  const Tensor w = Tensor::Of<int8_t>({1, 1, 1, 1, -1, 0, 0, 2}, {2, 1, 2, 2});
  for (const bool constant : {false, true})
    for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference}) {
      OneOp c("QLinearConv", {{"strides", std::vector<int64_t>{2, 2}},
                              {"pads", std::vector<int64_t>{0, 0, 1, 1}}});
      c.In(x).In(Tensor::Scalar(1.0f), constant);
      c.In(Tensor::Scalar<uint8_t>(1), constant).In(w, constant);
      c.In(Tensor::Vector<float>({1.0f, 0.5f}), constant);
      c.In(Tensor::Vector<int8_t>({0, 0}), constant);
      c.In(Tensor::Scalar(1.0f), constant).In(Tensor::Scalar<uint8_t>(10), constant);
      c.In(Tensor::Vector<int32_t>({0, 1}), constant);
      // x less 1: 0 1 2 / 3 4 5 / 6 7 8, padded with 0 below and to the right
      EXPECT_EQ(Values<uint8_t>(c.Run(2, kernels)[0]),
                (std::vector<uint8_t>{18, 17, 23, 18, 14, 10, 8, 6}));
    }
}

TEST(IntegerOps, ConvIntegerPadsWithTheZeroPoint) {
  OneOp c("ConvInteger", {{"pads", std::vector<int64_t>{1, 1}}});
  c.In(Tensor::Of<uint8_t>({5, 6, 7}, {1, 1, 3}));
  c.In(Tensor::Of<uint8_t>({3, 4, 5}, {1, 1, 3}), true);
  c.In(Tensor::Scalar<uint8_t>(5), true).In(Tensor::Scalar<uint8_t>(4), true);
  for (const KernelSet kernels : {KernelSet::kFast, KernelSet::kReference})
    EXPECT_EQ(Values<int32_t>(c.Run(1, kernels)[0]), (std::vector<int32_t>{1, 2, -1}));
}

TEST(IntegerOps, RefuseWhatTheyCannotRead) {
  OneOp c("MatMulInteger");
  c.In(Tensor::Of<float>({1}, {1, 1})).In(Tensor::Of<int8_t>({1}, {1, 1}), true);
  EXPECT_THROW(c.Run(), UsageError);
}

}  // namespace
}  // namespace mezzo
