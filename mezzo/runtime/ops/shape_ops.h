// Parts of the families of shape operators that have files of their own.
#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

void AddReshaping(OpTable& table);    // the same elements under another shape
void AddRearranging(OpTable& table);  // Transpose, Expand, Tile, DepthToSpace and the like
void AddJoining(OpTable& table);      // Concat, Split, Compress
void AddPadding(OpTable& table);      // Pad, Trilu, ReverseSequence

}  // namespace mezzo
