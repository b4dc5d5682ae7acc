// Tensors less tensors.
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

}  // namespace mezzo
