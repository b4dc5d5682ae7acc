#include "mezzo/tensor/row_codes.h"

#include <cmath>

#include "mezzo/format/affine_int.h"

namespace mezzo {

Tensor RowCodes::Dequantize() const {
  Tensor t(DType::kFloat32, {rows, cols});
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = r * cols; i < (r + 1) * cols; ++i)
      t.data<float>()[i] = scales[r] * static_cast<float>(codes[i]);
  return t;
}

RowCodes RoundRows(const Tensor& matrix) {
  RowCodes out{matrix.dim(0), matrix.dim(1), {}, {}};
  out.codes.resize(matrix.numel());
  const float* x = matrix.data<float>();
  for (int64_t r = 0; r < out.rows; ++r) {
    const int64_t begin = r * out.cols, end = begin + out.cols;
    float top = 0;
    for (int64_t i = begin; i < end; ++i) {
      Require(std::isfinite(x[i]), "row ", r, " is not finite");
      top = std::max(top, std::fabs(x[i]));
    }
    const QParams grid = SymmetricQParams(kInt8, top);
    out.scales.push_back(grid.scale);
    for (int64_t i = begin; i < end; ++i)
      out.codes[i] = static_cast<int8_t>(Quantize(kInt8, grid, x[i]));
  }
  return out;
}

}  // namespace mezzo
