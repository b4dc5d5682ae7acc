// A fixed orthogonal matrix that spreads every coordinate over all of them:
//
//   Q = D (S x H),  n = m 2^k:  D random signs, S a random orthogonal m x m matrix,
//                               H the normalized Hadamard matrix of 2^k
//
// as QuaRot (https://arxiv.org/abs/2404.00456) and SpinQuant take them, whose Hadamard matrices of
// other sizes need tables. A vector takes n (k + m) operations.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/tensor/tensor.h"

namespace mezzo {

class Rotation {
 public:
  // UsageError if n has an odd factor m above 512.
  Rotation(int64_t n, uint64_t seed);

  int64_t size() const { return n_; }
  // x (rows, cols) times the block diagonal matrix of Qs: cols is a multiple of n.
  void Rows(Tensor& x) const;
  // The transpose of that matrix times x: rows are a multiple of n.
  void Columns(Tensor& x) const;

 private:
  static constexpr int64_t kLanes = 8;         // vectors that go together
  void Apply(float* x, float* scratch) const;  // both (n, kLanes)
  // Of vectors `pitch` numbers apart, their coordinates `stride` apart.
  void ApplyToAll(float* x, int64_t vectors, int64_t pitch, int64_t stride) const;

  int64_t n_, odd_ = 1, two_ = 1;
  std::vector<float> signs_;  // with H's scale
  std::vector<float> small_;  // S, (odd, odd)
};

}  // namespace mezzo
