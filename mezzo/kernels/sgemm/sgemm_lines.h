// Lines of sgemm.h for an instruction set: a tile of a few rows and panels, whose sums are in
// registers.
#pragma once

#include <cstdint>

namespace mezzo {

// A stretch of K: segments [tap, tap + taps), numbers [begin, begin + depth) of each.
struct GemmStretch {
  int64_t tap, taps, begin, depth;
};

struct GemmTile {
  const float* const* segments;
  int64_t row_taps;  // pointers from one row to the next
  const float* b;
  int64_t panel_stride;
  float* c;
  int64_t c_stride;
  const float* init;
  int64_t init_stride;
  int64_t columns;  // that exist: fewer at the right edge
};

struct SgemmLines {
  int64_t rows;  // of the highest tile
  // How many panels a tile of `rows` rows takes, of `left`.
  int64_t (*panels)(int64_t rows, int64_t left);
  // `panels` as given for this number of rows or for one more.
  void (*run)(int64_t rows, int64_t panels, const GemmTile&, const GemmStretch&);
};
const SgemmLines& SgemmAvx2();
const SgemmLines& SgemmAvx512();

}  // namespace mezzo
