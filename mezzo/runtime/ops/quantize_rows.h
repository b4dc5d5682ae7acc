#pragma once

#include <cstdint>

namespace mezzo {

// One group of mezzo.QuantizeRows (quantize_rows.cc): y = scale * round(x / scale), x may be y.
void QuantizeGroup(const float* x, int64_t n, bool fp8, float* y);

}  // namespace mezzo
