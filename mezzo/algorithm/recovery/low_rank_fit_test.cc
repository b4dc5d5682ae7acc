#include "mezzo/algorithm/recovery/low_rank_fit.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/llm/hessian.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

// tr((e - p) H (e - p)^T)
double Left(const Tensor& e, const Tensor& p, const Hessian& h) {
  const int64_t rows = e.dim(0), d = e.dim(1);
  double sum = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < d; ++i)
      for (int64_t j = 0; j < d; ++j) {
        const auto at = [&](int64_t k) {
          return double(e.data<float>()[r * d + k]) - p.data<float>()[r * d + k];
        };
        sum += at(i) * h.At(i, j) * at(j);
      }
  return sum;
}

Hessian Correlated(int64_t d, unsigned seed) {
  Tensor x = NormalTensor({200, d}, seed);
  for (int64_t r = 0; r < 200; ++r)
    for (int64_t i = 1; i < d; ++i)
      x.data<float>()[r * d + i] += 0.7f * x.data<float>()[r * d + i - 1];
  Hessian h(d);
  h.Add(x, {});
  return h;
}

// The best path leaves the sum of the smallest eigenvalues of e H e^T; with the others it adds up
// to the whole. So what path r takes up, one rank after the other, is a falling series of
// eigenvalues, and none is left at full rank.
TEST(FitLowRank, TakesUpTheLargestPartsFirst) {
  const Tensor e = NormalTensor({12, 20}, 3);
  const Hessian h = Correlated(20, 4);
  const Tensor none = Tensor::Zeros(DType::kFloat32, {12, 20});
  double before = Left(e, none, h), least = INFINITY;
  const double whole = before;
  for (int64_t rank = 1; rank <= 12; ++rank) {
    const LowRank path = FitLowRank(e, h.Full({}), rank, {});
    ASSERT_EQ(path.rank(), rank);
    const double left = Left(e, Product(path, {}), h);
    const double taken = before - left;
    EXPECT_LE(taken, least * 1.001) << rank;
    EXPECT_GE(taken, -1e-4 * whole) << rank;
    least = taken, before = left;
  }
  EXPECT_NEAR(before / whole, 0, 1e-5);
}

// No step from it brings more: the gradient by both matrices is zero.
TEST(FitLowRank, CannotBeImproved) {
  const Tensor e = NormalTensor({30, 16}, 5);
  const Hessian h = Correlated(16, 6);
  const LowRank best = FitLowRank(e, h.Full({}), 3, {});
  const double left = Left(e, Product(best, {}), h);
  for (unsigned seed = 0; seed < 40; ++seed) {
    LowRank other{best.a.Clone(), best.b.Clone()};
    const float by = seed % 2 ? 0.05f : 0.005f;
    const Tensor da = NormalTensor(best.a.shape(), 100 + seed),
                 db = NormalTensor(best.b.shape(), 200 + seed);
    for (int64_t i = 0; i < da.numel(); ++i) other.a.data<float>()[i] += by * da.data<float>()[i];
    for (int64_t i = 0; i < db.numel(); ++i) other.b.data<float>()[i] += by * db.data<float>()[i];
    EXPECT_GE(Left(e, Product(other, {}), h), left * (1 - 1e-6)) << seed;
  }
}

TEST(FitLowRank, LowersRanksAndStandsZeros) {
  const Tensor e = NormalTensor({4, 9}, 7);
  const Hessian silent(9);
  const LowRank path = FitLowRank(e, silent.Full({}), 8, {});
  ASSERT_EQ(path.rank(), 4);
  const Tensor p = Product(path, {});
  for (int64_t i = 0; i < e.numel(); ++i) EXPECT_NEAR(p.data<float>()[i], e.data<float>()[i], 1e-5);
  const Tensor zero =
      Product(FitLowRank(Tensor::Zeros(DType::kFloat32, {4, 9}), silent.Full({}), 2, {}), {});
  for (const float v : zero.span<float>()) EXPECT_EQ(v, 0);
  EXPECT_THROW(FitLowRank(e, Hessian(8).Full({}), 2, {}), std::exception);
}

TEST(FitLowRank, IsTheSameForAnyNumberOfThreads) {
  const Tensor e = NormalTensor({70, 48}, 8);
  const Hessian h = Correlated(48, 9);
  const LowRank one = FitLowRank(e, h.Full({}), 8, Threads(1)),
                three = FitLowRank(e, h.Full({}), 8, Threads(3));
  for (int64_t i = 0; i < one.a.numel(); ++i)
    ASSERT_EQ(one.a.data<float>()[i], three.a.data<float>()[i]);
  for (int64_t i = 0; i < one.b.numel(); ++i)
    ASSERT_EQ(one.b.data<float>()[i], three.b.data<float>()[i]);
}

}  // namespace
}  // namespace mezzo
