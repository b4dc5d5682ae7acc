// A matrix in four-bit codes with a scale for each row and group of columns; the scales are
// bfloat16, or 8-bit floats beside a power of two for all of them: double quantization (QLoRA,
// Dettmers et al. 2023, https://arxiv.org/abs/2305.14314), whose blocks of 256 scales with a mean
// and a factor each are not needed where the codes are floats.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "mezzo/format/codebook.h"
#include "mezzo/format/fp8.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

struct GroupFormat {
  const Codebook* codes = FindCodebook("int4");
  int64_t group = 64;        // columns that share a scale
  bool zero_points = false;  // codes 0..15 less a zero point per group, in place of the codebook
  std::optional<Fp8Format> fp8;  // values are rounded to it before they are multiplied
  bool double_quant = false;     // scales are themselves 8-bit codes (fp8.h) of a unit

  // That a file holds, scales and zero points included.
  double BitsPerWeight() const {
    return 4 +
           ((double_quant ? 8.0 : 16.0) + (zero_points ? 8.0 : 0.0)) / static_cast<double>(group);
  }

  // What a code stands for at a scale.
  float Value(float scale, int code, int zero = 0) const {
    const float v = scale * (zero_points ? static_cast<float>(code - zero) : codes->values[code]);
    return fp8 ? RoundToFp8(*fp8, v) : v;
  }
};

// matrix[r, c] = outer * format.Value(scales[r, g], codes[r, c], zeros[r, g]), g = c / group.
struct GroupCodes {
  GroupFormat format;
  int64_t rows = 0, cols = 0;
  float outer = 1;             // a power of two
  float unit = 1;              // with double_quant: a power of two, scales are unit * unsigned E3M5
  std::vector<uint8_t> codes;  // (rows, cols), 0..15
  std::vector<float> scales;   // (rows, groups), bfloat16 values
  std::vector<uint8_t> zeros;  // (rows, groups), 0..15, or empty

  int64_t groups() const { return cols / format.group; }
  Tensor Dequantize() const;  // (rows, cols), float32
};

}  // namespace mezzo
