// The inside of QGemm with weights that vary: rows widened to int16 in a panel, tiles multiplied by
// the lines of one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

// A few rows times one panel of columns.
struct QTile {
  const int16_t* x;  // (rows, 2 * w.pairs()), rows x_stride elements apart
  size_t x_stride;
  size_t rows;  // 1..QLines::tile_rows
  const QWeights* w;
  size_t panel;
  const QOutput* out;
  void* y;  // element (row 0, first column of the panel)
  size_t y_stride;
};

// What an instruction set brings. Newer sets run the lines of AVX2.
struct QLines {
  size_t tile_rows;
  void (*tile)(const QTile&);
  // out[i] = codes[i] - zero
  void (*widen)(const void* codes, bool is_signed, size_t n, int16_t zero, int16_t* out);
};

extern const QLines kQLinesAvx2;

}  // namespace mezzo
