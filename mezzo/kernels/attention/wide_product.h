// Products of int16 codes for attention, float32 results:
//
//   y[r, n] = float(sum over k of a[r, k] * b[k, n]) * (row_scale[r] * column_scale[n])
//
// The sums are exact in int32, which the caller's ranges of codes must see to. So the results are
// the same bits on every instruction set and for any cut of rows and columns.
#pragma once

#include <cstdint>

namespace mezzo {

// Rows of A, `stride` codes apart, each of 2 * pairs.
struct WideRows {
  const int16_t* codes;
  const float* scales;
  int64_t count, stride;
};

// B in panels of 16 columns; in a panel, for each pair of its rows, 16 columns by two codes.
struct WidePanels {
  static constexpr int64_t kWidth = 16;

  const int16_t* codes;           // 64-byte aligned
  int64_t pairs, panels, stride;  // stride in codes, from panel to panel
  const float* scales;            // (panels * kWidth), or null: ones
};

// y: rows `y_stride` apart, of panels * kWidth columns.
void WideProduct(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride);

using WideRun = void(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride);
WideRun WideRunRef, WideRunAvx2, WideRunAvxVnni, WideRunAvx512Vnni;

}  // namespace mezzo
