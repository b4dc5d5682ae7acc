// mezzo.QuantizeRows: what 8-bit activations leave of a matrix, in float.
//
//   format  "fp8" (E4M3FN) or "int8"; group  columns that share a scale, 0: the whole row
//
// Per row and group scale = max|x| / (448 or 127), y = scale * round(x / scale): dynamic, so that a
// row's result depends on that row alone. The products that hardware forms from such codes are
// sums of the same values.
#include "mezzo/runtime/ops/quantize_rows.h"

#include <algorithm>
#include <cmath>

#include "mezzo/format/affine_int.h"
#include "mezzo/format/fp8.h"
#include "mezzo/runtime/ops/families.h"

namespace mezzo {

void QuantizeGroup(const float* x, int64_t n, bool fp8, float* y) {
  float top = 0;
  for (int64_t i = 0; i < n; ++i) top = std::max(top, std::fabs(x[i]));
  const float scale = std::max(top / (fp8 ? kE4M3FN.max : 127.0f), FLT_MIN);
  for (int64_t i = 0; i < n; ++i)
    y[i] = scale * (fp8 ? RoundToFp8(kE4M3FN, x[i] / scale) : std::nearbyint(x[i] / scale));
}

namespace {

void QuantizeRows(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::string format = ctx.node.String("format", "");
  const int64_t cols = x.rank() == 0 ? 0 : x.dim(x.rank() - 1);
  int64_t group = ctx.node.Int("group", 0);
  if (group == 0) group = cols;
  Require((format == "fp8" || format == "int8") && group > 0 && cols % group == 0, "QuantizeRows ",
          ctx.node.name, ": format '", format, "' and groups of ", group, " for ",
          ToString(x.shape()));
  Tensor y(DType::kFloat32, x.shape());
  for (int64_t i = 0; i < x.numel(); i += group)
    QuantizeGroup(x.data<float>() + i, group, format == "fp8", y.data<float>() + i);
  ctx.out[0] = y;
}

}  // namespace

void AddQuantizeRows(OpTable& table) { table.Add("mezzo:QuantizeRows", QuantizeRows); }

}  // namespace mezzo
