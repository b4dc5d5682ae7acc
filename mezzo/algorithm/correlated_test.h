// For tests: second moments of inputs that correlate.
#pragma once

#include <vector>

#include "mezzo/tensor/normal_test.h"

namespace mezzo {

// A few directions, and little noise.
inline std::vector<float> CorrelatedSums(int64_t d, int64_t columns) {
  const std::vector<float> mix = NormalValues(d * 4, 1), factors = NormalValues(4 * columns, 2),
                           noise = NormalValues(d * columns, 3);
  std::vector<float> sums(d * d);
  for (int64_t n = 0; n < columns; ++n) {
    std::vector<float> x(d);
    for (int64_t k = 0; k < d; ++k) {
      x[k] = 0.1f * noise[k * columns + n];
      for (int64_t f = 0; f < 4; ++f) x[k] += mix[k * 4 + f] * factors[f * columns + n];
    }
    for (int64_t a = 0; a < d; ++a)
      for (int64_t b = 0; b < d; ++b) sums[a * d + b] += x[a] * x[b];
  }
  return sums;
}

}  // namespace mezzo
