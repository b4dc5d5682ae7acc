// Tensors as matrices and vectors.
#pragma once

#include "mezzo/tensor/tensor.h"

namespace mezzo {

// a - b, of float32 tensors of one shape and layout.
inline Tensor Difference(const Tensor& a, const Tensor& b) {
  Tensor d = a.Clone();
  float* to = d.data<float>();
  const float* less = b.data<float>();
  for (int64_t i = 0; i < d.numel(); ++i) to[i] -= less[i];
  return d;
}

// a + b, likewise.
inline Tensor Sum(const Tensor& a, const Tensor& b) {
  Tensor s = a.Clone();
  float* to = s.data<float>();
  const float* more = b.data<float>();
  for (int64_t i = 0; i < s.numel(); ++i) to[i] += more[i];
  return s;
}

// Of a float32 matrix.
inline Tensor Transposed(const Tensor& matrix) {
  const int64_t rows = matrix.dim(0), columns = matrix.dim(1);
  Tensor t(DType::kFloat32, {columns, rows});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      t.data<float>()[c * rows + r] = matrix.data<float>()[r * columns + c];
  return t;
}

}  // namespace mezzo
