#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

// Turns pairs of channels by the angle of their position: rotary_embedding.cc.
void RotaryEmbedding(OpContext& ctx);

}  // namespace mezzo
