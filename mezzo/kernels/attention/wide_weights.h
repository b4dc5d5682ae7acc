// Scores of attention to int16 codes for the product with the values' codes (wide_product.h). Row r
// sees the first n = first + r / group + 1 positions:
//
//   p[r, t] = e^(s[r, t] - max over t < n of s[r, t]) * value_scale[t]
//   code[r, t] = round(p[r, t] / unit), 0 for t >= n
//   scale[r] = unit / sum over t < n of e^(s[r, t] - max)
//
// The unit is as small as codes of int16 and the sums of their products with values up to
// kValueTop in int32 allow. NaN among a row's scores or their values' scales makes its scale NaN.
// The same bits on every instruction set and for any cut of the rows.
#pragma once

#include <cstdint>

namespace mezzo {

inline constexpr float kLargestSum = 2147483647.0f, kValueTop = 8191;

struct WideScores {
  float* scores;  // rows `stride` apart, a multiple of 16; overwritten
  int64_t count, stride, first, group;
  const float* value_scales;  // of positions
  int16_t* codes;             // rows `stride` apart
  float* scales;              // (count)
};

void WideWeights(const WideScores& s);

using WideWeightRun = void(const WideScores& s);
WideWeightRun WideWeightsAvx2, WideWeightsAvx512;

}  // namespace mezzo
