// Every file of operators adds its own to the table with one of these functions.
#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

// clang-format off
#define MEZZO_OP_FAMILIES(X)                                                                 \
  X(Elementwise) X(Activation) X(Reduce) X(Logic) X(CastOps) X(ShapeOps) X(Index) X(Matmul)  \
  X(Conv) X(Pool) X(Norm) X(Softmax) X(Resize) X(Recurrent) X(Control) X(Attention)          \
  X(Quantize) X(QuantizeRows) X(Sort) X(Generate) X(Einsum) X(Integer) X(Function) X(Cim)   \
  X(AddNormalize)
// clang-format on

#define X(Family) void Add##Family(OpTable& table);
MEZZO_OP_FAMILIES(X)
#undef X

}  // namespace mezzo
