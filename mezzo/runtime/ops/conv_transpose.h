#pragma once

#include "mezzo/runtime/op.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {

// y[o] = bias + sum over the taps t and input pixels i with i * stride + t * dilation - pad == o of
// x[i] * w[t]. Weights (C, M / groups, kernel...). Channels-last out.
void ConvTranspose(OpContext& ctx);

}  // namespace mezzo
