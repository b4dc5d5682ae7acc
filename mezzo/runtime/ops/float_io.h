// Element types that float operators take besides float32.
#pragma once

#include "mezzo/runtime/op.h"

namespace mezzo {

// Runs an operator written for float32: float16, bfloat16 and float64 inputs are converted for it
// and its float32 outputs converted back to the type of input 0.
//   table.Add("Conv", AsFloat32<Conv>, true);
template <OpFn Run>
void AsFloat32(OpContext& ctx) {
  const DType type = ctx.in[0].dtype();
  if (type == DType::kFloat32) return Run(ctx);
  for (Tensor& t : ctx.in)
    if (t.dtype() == DType::kFloat16 || t.dtype() == DType::kBFloat16 ||
        t.dtype() == DType::kFloat64)
      t = Cast(t, DType::kFloat32);
  Run(ctx);
  const bool real = type == DType::kFloat16 || type == DType::kBFloat16 || type == DType::kFloat64;
  for (Tensor& t : ctx.out)
    if (real && t.dtype() == DType::kFloat32) t = Cast(t, type);
}

}  // namespace mezzo
