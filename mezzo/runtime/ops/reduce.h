// The part of the family of reductions that has a file of its own.
#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

void AddScans(OpTable& table);  // ArgMax, ArgMin, CumSum, CumProd

}  // namespace mezzo
