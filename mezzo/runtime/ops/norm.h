#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

// Mean and biased variance of n numbers, summed in order; NaN for none.
struct Moments {
  double mean, variance;
};
Moments MomentsOf(const float* x, int64_t n);

// LayerNormalization, RMSNormalization, LpNormalization, MeanVarianceNormalization: norm_axes.cc.
void AddNormOverAxes(OpTable& table);

}  // namespace mezzo
