// A matrix in int8 codes with a scale for each row: row r is scales[r] * codes[r].
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/tensor/tensor.h"

namespace mezzo {

struct RowCodes {
  int64_t rows = 0, cols = 0;
  std::vector<int8_t> codes;  // (rows, cols), -127..127
  std::vector<float> scales;  // (rows)

  Tensor Dequantize() const;  // (rows, cols), float32
};

// The nearest codes, each row's largest value at 127. Throws UsageError naming the row if one is
// not finite.
RowCodes RoundRows(const Tensor& matrix);

}  // namespace mezzo
