// For tests: random values, the same for a seed everywhere.
#pragma once

#include <random>
#include <vector>

#include "mezzo/tensor/tensor.h"

namespace mezzo {

inline std::vector<float> NormalValues(size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> v(n);
  for (float& x : v) x = normal(rng);
  return v;
}

inline Tensor NormalTensor(const Shape& shape, unsigned seed) {
  return Tensor::Of(NormalValues(NumElements(shape), seed), shape);
}

}  // namespace mezzo
