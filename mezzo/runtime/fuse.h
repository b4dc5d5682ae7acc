// What follows a product is done while its result is in registers.
#pragma once

#include "mezzo/runtime/lower.h"

namespace mezzo {

// Rewrites a graph that LowerToIntegers made: a QAdd of a QConv's codes, where nobody else reads
// these, becomes the QConv's input 3 and its attributes add_* (those of the QAdd, the QConv being
// operand a). Results stay the same, bit for bit. `report`, if given, is the lowering's: what nodes
// stand for is brought up to date.
void FuseAdditions(Graph& graph, LowerReport* report);

}  // namespace mezzo
