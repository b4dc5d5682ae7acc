#include "mezzo/tensor/group_codes.h"

namespace mezzo {

Tensor GroupCodes::Dequantize() const {
  Tensor t(DType::kFloat32, {rows, cols});
  float* to = t.data<float>();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t g = 0; g < groups(); ++g) {
      float values[16];
      const int64_t at = r * groups() + g;
      for (int code = 0; code < 16; ++code)
        values[code] = outer * format.Value(scales[at], code, zeros.empty() ? 0 : zeros[at]);
      const int64_t begin = r * cols + g * format.group;
      for (int64_t i = begin; i < begin + format.group; ++i) to[i] = values[codes[i] & 15];
    }
  return t;
}

}  // namespace mezzo
