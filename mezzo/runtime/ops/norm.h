#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

// Mean and biased variance of n numbers, summed in order; NaN for none.
struct Moments {
  double mean, variance;
};
Moments MomentsOf(const float* x, int64_t n);

// y = (x - center) * factor * scale + bias, factor = 1 / sqrt(variance + epsilon); scale and bias
// may be null. Returns what it took.
struct CenterAndFactor {
  float center, factor;
};
CenterAndFactor LayerNormRow(const float* x, const float* scale, const float* bias, int64_t n,
                             float epsilon, float* y);

// LayerNormalization, RMSNormalization, LpNormalization, MeanVarianceNormalization: norm_axes.cc.
void AddNormOverAxes(OpTable& table);

}  // namespace mezzo
