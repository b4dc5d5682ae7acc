#include "mezzo/runtime/ops/matmul.h"

#include <random>

#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/runtime/ops/one_op_test.h"

namespace mezzo {
namespace {

Shape OutShape(const Shape& a, const Shape& b) { return ReadMatMulShape(Node{}, a, b).out; }

TEST(MatMul, ShapesFollowNumpy) {
  EXPECT_EQ(OutShape({3}, {3}), Shape({}));
  EXPECT_EQ(OutShape({3}, {2, 3, 4}), Shape({2, 4}));
  EXPECT_EQ(OutShape({5, 2, 3}, {3}), Shape({5, 2}));
  EXPECT_EQ(OutShape({7, 1, 2, 3}, {5, 3, 4}), Shape({7, 5, 2, 4}));
  EXPECT_THROW(OutShape({2, 3}, {4, 5}), UsageError);
  EXPECT_THROW(OutShape({2, 2, 3}, {3, 3, 4}), UsageError);
  EXPECT_THROW(OutShape({}, {3}), UsageError);
}

TEST(MatMul, BroadcastsBatchesBitForBit) {
  const Tensor a = TestRamp({3, 1, 5, 70}), b = TestRamp({2, 70, 33}, 0.03f);
  Tensor want(DType::kFloat32, {3, 2, 5, 33});
  for (int64_t i = 0; i < 6; ++i)
    SgemmRef(a.data<float>() + i / 2 * 350, 70, 5, 33, 70, b.data<float>() + i % 2 * 70 * 33, 33, 1,
             want.data<float>() + i * 165, 33, {});
  for (const size_t threads : {1, 2, 8})
    for (const bool constant : {false, true})
      EXPECT_TRUE(SameBits(OneOp("MatMul").In(a).In(b, constant).Run(threads)[0], want));
}

// The products of a small sentence encoder; each row of the batch alone gives the same bits.
TEST(MatMul, ARowDoesNotDependOnItsBatchOrThreads) {
  const Tensor a = TestRamp({2, 16, 384}), b = TestRamp({384, 200}, 0.01f);
  const Tensor all = OneOp("MatMul").In(a).In(b, true).Run(1)[0];
  for (const size_t threads : {2, 3, 4})
    EXPECT_TRUE(SameBits(OneOp("MatMul").In(a).In(b, true).Run(threads)[0], all));
  Tensor row(DType::kFloat32, {1, 1, 384});
  std::copy_n(a.data<float>() + 20 * 384, 384, row.data<float>());
  const Tensor alone = OneOp("MatMul").In(row).In(b, true).Run(2)[0];
  EXPECT_EQ(std::memcmp(alone.raw(), all.data<float>() + 20 * 200, alone.bytes()), 0);
}

TEST(MatMul, MultipliesIntegersExactly) {
  const Tensor a = Tensor::Of<int64_t>({1, 2, 3, 1LL << 40}, {2, 2});
  const Tensor y = OneOp("MatMul").In(a).In(a).Run()[0];
  EXPECT_EQ(ToInts(y), (std::vector<int64_t>{7, 2 + (2LL << 40), 3 + (3LL << 40), 6}));
}

TEST(Gemm, TransposesScalesAndAdds) {
  const Tensor a = TestRamp({3, 2}), b = TestRamp({4, 3}), c = TestRamp({2, 1});
  for (const bool constant : {false, true}) {
    OneOp op("Gemm",
             {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 0.5f}, {"beta", 2.0f}});
    std::vector<float> want;
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j) {
        float sum = 0;
        for (int k = 0; k < 3; ++k) sum += a.data<float>()[k * 2 + i] * b.data<float>()[j * 3 + k];
        want.push_back(0.5f * sum + 2.0f * c.data<float>()[i]);
      }
    ExpectClose(op.In(a).In(b, constant).In(c).Run()[0], {2, 4}, want);
  }
}

}  // namespace
}  // namespace mezzo
