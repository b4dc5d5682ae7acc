#include "mezzo/tensor/rotation.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

Tensor Identity(int64_t n) {
  Tensor t = Tensor::Zeros(DType::kFloat32, {n, n});
  for (int64_t i = 0; i < n; ++i) t.data<float>()[i * (n + 1)] = 1;
  return t;
}

TEST(Rotation, IsOrthogonalAndSpreadsEveryCoordinate) {
  for (const int64_t n : {1, 2, 7, 64, 576, 96}) {
    Tensor q = Identity(n);
    Rotation(n, 1).Rows(q);
    const auto* v = q.data<float>();
    float largest = 0;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double dot = 0;
        for (int64_t k = 0; k < n; ++k) dot += double(v[i * n + k]) * v[j * n + k];
        ASSERT_NEAR(dot, i == j, 1e-6) << n;
        largest = std::max(largest, std::fabs(v[i * n + j]));
      }
    if (n >= 64) {
      EXPECT_LT(largest, 0.2f) << n;
    }
  }
}

// Of two blocks: (x Q) and (Q^T x) are the dense products.
TEST(Rotation, RowsAndColumnsAreTheDenseProducts) {
  const int64_t n = 24, others = 11;
  const Rotation rotation(n, 5);
  Tensor q = Identity(n);
  rotation.Rows(q);
  const auto entry = [&](int64_t i, int64_t j) {
    return i / n == j / n ? q.data<float>()[i % n * n + j % n] : 0.0f;
  };
  const Tensor x = NormalTensor({others, 2 * n}, 1), z = NormalTensor({2 * n, others}, 2);
  Tensor rows(DType::kFloat32, x.shape()), columns(DType::kFloat32, z.shape());
  std::copy_n(x.data<float>(), x.numel(), rows.data<float>());
  std::copy_n(z.data<float>(), z.numel(), columns.data<float>());
  rotation.Rows(rows);
  rotation.Columns(columns);
  for (int64_t r = 0; r < others; ++r)
    for (int64_t j = 0; j < 2 * n; ++j) {
      double row = 0, column = 0;
      for (int64_t k = 0; k < 2 * n; ++k) {
        row += double(x.data<float>()[r * 2 * n + k]) * entry(k, j);
        column += double(z.data<float>()[k * others + r]) * entry(k, j);
      }
      EXPECT_NEAR(rows.data<float>()[r * 2 * n + j], row, 1e-5);
      EXPECT_NEAR(columns.data<float>()[j * others + r], column, 1e-5);
    }
}

TEST(Rotation, RefusesLargeOddFactors) { EXPECT_THROW(Rotation(2 * 1021, 1), UsageError); }

}  // namespace
}  // namespace mezzo
