#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

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
