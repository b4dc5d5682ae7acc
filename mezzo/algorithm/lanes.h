// Rows of a weight that go through rounding together: element k of row `lane` is at
// [k * kLanes + lane], so that each step is the same for all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace mezzo {

constexpr int64_t kLanes = 32;

struct Lanes {
  std::vector<float> values;
  explicit Lanes(int64_t depth) : values(static_cast<size_t>(depth * kLanes)) {}
  float& At(int64_t k, int64_t lane) { return values[k * kLanes + lane]; }
  float At(int64_t k, int64_t lane) const { return values[k * kLanes + lane]; }
  const float* Row(int64_t k) const { return values.data() + k * kLanes; }
};

// sums[lane] += sum over begin <= k < end of f[k] * x[k][lane], in this order.
inline void AddProducts(const float* f, const float* x, int64_t begin, int64_t end,
                        float (&sums)[kLanes]) {
  for (int64_t k = begin; k < end; ++k)
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += f[k] * x[k * kLanes + lane];
}

}  // namespace mezzo
