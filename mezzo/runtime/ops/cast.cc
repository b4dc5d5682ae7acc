// Cast, CastLike: see Cast in mezzo/tensor/tensor.h for the rules.
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

Tensor CastTo(const Tensor& x, DType to) {
  Require(SizeOf(to) > 0, "cannot cast to element type ", static_cast<int>(to), " (", Name(to),
          ")");
  return Cast(x, to);
}

void CastOp(OpContext& ctx) {
  ctx.out[0] = CastTo(ctx.in[0], static_cast<DType>(ctx.node.Int("to", 0)));
}

void CastLike(OpContext& ctx) { ctx.out[0] = CastTo(ctx.in[0], ctx.in[1].dtype()); }

}  // namespace

void AddCastOps(OpTable& table) {
  table.Add("Cast", &CastOp);
  table.Add("CastLike", &CastLike);
}

}  // namespace mezzo
