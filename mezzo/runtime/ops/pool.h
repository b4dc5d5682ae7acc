#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

// MaxPool with its second output and MaxUnpool: pool_max.cc.
void MaxPool(OpContext& ctx);
void MaxUnpool(OpContext& ctx);

// RoiAlign (opset 16 and up): roi_align.cc.
void RoiAlign(OpContext& ctx);

}  // namespace mezzo
