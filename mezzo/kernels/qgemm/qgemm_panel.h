// The inside of QGemm, shared with convolution: rows widened to int16 in a panel, tiles multiplied
// by the lines of one instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "mezzo/base/cpu.h"
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
  size_t channel;  // the panel's first column in `out` (groups: not panel * 16)
  void* y;         // element (row 0, first column of the panel)
  size_t y_stride;
};

// What an instruction set brings. A row of this table per set; the plain set has none, since
// QGemmRef stands for it.
struct QLines {
  Isa isa;
  size_t tile_rows;
  void (*tile)(const QTile&);
  // out[i] = codes[i] - zero
  void (*widen)(const void* codes, bool is_signed, size_t n, int16_t zero, int16_t* out);
};

// Those of the last set up to `isa` that has some. Throws UsageError for kPlain.
const QLines& LinesOf(Isa isa);
extern const QLines kQLinesAvx2;

// Writes rows [begin, begin + count) as int16 differences from the zero point, `stride` apart, and
// zero from depth up to an even number of columns.
using QGather = std::function<void(size_t begin, size_t count, int16_t* panel, size_t stride)>;

struct QProduct {
  size_t rows;
  const QWeights* w;
  const QOutput* out;
  size_t channel = 0;  // of column 0 in `out`
  void* y;
  size_t y_stride;
};

// All tiles of a product, blocked for the caches and cut among the threads.
void RunQProduct(const QProduct& product, const QGather& gather, const Threads& threads);

}  // namespace mezzo
