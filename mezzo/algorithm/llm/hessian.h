// Second moments of what a linear layer reads, and the factor that error-corrected rounding walks.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// H = sum of x x^T over the rows x of what was added. Products are of int16 codes: of every 512
// rows, each input is rounded to 1/2047 of its largest magnitude there. So the sums of 512 rows are
// exact in int32, the same on every instruction set, at half the time of float; what rounding adds
// is below what a sample of calibration text leaves unknown by orders (docs/decisions.md).
class Hessian {
 public:
  explicit Hessian(int64_t depth) : depth_(depth), sums_(depth * depth) {}

  // x is (rows, depth), float32. The sums do not depend on the number of threads.
  void Add(const Tensor& x, const Threads& threads);

  int64_t depth() const { return depth_; }
  int64_t rows() const { return rows_; }
  float At(int64_t i, int64_t j) const { return i >= j ? sums_[i * depth_ + j] : At(j, i); }
  std::vector<float> Full(const Threads& threads) const;  // (depth, depth)
  // (depth, depth), without what is above the diagonal but outside the blocks of 64 about it.
  const float* sums() const { return sums_.data(); }

 private:
  int64_t depth_, rows_ = 0;
  std::vector<float> sums_;
};

// For H with its rows and columns in the order `order` and `damping` times the mean of its diagonal
// added to that: the transpose of U, upper triangular with H^-1 = U^T U, so lower triangular,
// row-major. An input that was always zero gets the mean as its diagonal. The damping is raised
// tenfold until the factorization succeeds; `used` tells what it took.
std::vector<float> InverseFactor(const Hessian& h, const std::vector<int64_t>& order,
                                 double damping, const Threads& threads, double* used = nullptr);

}  // namespace mezzo
