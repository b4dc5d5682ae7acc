// The inside of products with QQuads, shared by matrices and convolutions: rows, wherever in memory
// these lie, times panels of columns.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/qgemm/quads.h"

namespace mezzo {

// Some rows times one panel of columns.
struct QuadStrip {
  const uint8_t* const* rows;  // `count`, and QuadLines::tile_rows - 1 more that can be read
  size_t count;
  const int32_t* offsets;  // from a row to the codes of each quad of the panel
  size_t pairs, singles;
  const int8_t* w;
  const int32_t* start;  // what the sums of the panel's columns begin with
  const QOutput* out;
  size_t channel;             // the panel's first column in `out`
  size_t cols, vectors;       // of the panel
  char* y;                    // element (row 0, first column of the panel)
  size_t y_step;              // bytes from row to row
  const QResidual* residual;  // of codes; may be null
  const uint8_t* other;       // its codes at (row 0, first column), y_step apart
  size_t ahead;    // bytes of rows of y (and of the residual) that are worth fetching in advance
  size_t x_ahead;  // bytes of rows of x that are
  const int8_t* next;  // weights that come after these ones, `after` bytes of them
  size_t after;
  size_t runs = 1, skipped = 0;  // times that so many quads come; quads between two of them
};

// The first panel of a block is the first to touch its rows of y, a few bytes of each, which no
// processor foresees. Those behind its last row are touched by the next block.
[[gnu::always_inline]] inline void FetchAhead(const QuadStrip& s, size_t first, size_t rows) {
  if (s.x_ahead)
    for (size_t r = first; r < std::min(first + rows, s.count); ++r)
      for (size_t i = 0; i < s.x_ahead; i += 64) __builtin_prefetch(s.rows[r] + i);
  // rows that lie side by side are one
  const bool dense = s.ahead == s.y_step;
  const size_t count = dense ? 1 : rows, bytes = dense ? rows * s.ahead : s.ahead;
  for (size_t r = 0, at = first * s.y_step; r < count; ++r, at += s.y_step)
    for (size_t i = 0; i < bytes; i += 64) {
      __builtin_prefetch(s.y + at + i, 1);
      if (s.residual) __builtin_prefetch(s.other + at + i);
    }
}

// Of a panel's 16 columns each.
inline constexpr size_t kMaxQuadVectors = 4;

// What an instruction set brings.
struct QuadLines {
  Isa isa;
  size_t tile_rows;
  size_t max_vectors;  // of a panel: 1..kMaxQuadVectors
  bool pairs;          // whether quads are to be paired (quads_pairs.h): only of single vectors
  void (*strip)(const QuadStrip&);
  bool runs = false;  // whether QuadStrip::runs may be more than 1: in full panels, to bounded
                      // codes without residual
  int32_t off = 0;    // what is taken off codes before they are multiplied
};
extern const QuadLines kQuadLinesAvx2, kQuadLinesNeonDot, kQuadLinesAvxVnni, kQuadLinesAvx512Vnni;

// Throws UsageError for kPlain.
const QuadLines& QuadLinesOf(Isa isa);

// Up to four rows of codes, of up to 64 columns.
struct QuadRowsToPack {
  const uint8_t* w;
  size_t row_stride, rows, cols;
  bool is_signed;
  uint8_t zero;  // unsigned, > 0
};
// Their quad, less the zero point, as far as it fits int8: whole vectors of 16 columns. Whether
// something is left, which is then written to `rest`.
bool QuadOfRowsAvx512(const QuadRowsToPack& rows, int8_t* to, int8_t* rest);

// Where the codes of rows [begin, begin + count) lie: fills rows[0, count). It may copy codes into
// `scratch`, which no other thread uses. Up to 3 codes past the last one of a run are read, and
// multiplied by zero.
using QuadRows = std::function<void(size_t begin, size_t count, const uint8_t** rows,
                                    std::vector<uint8_t>& scratch)>;

// Which taps of their windows the pixels of a convolution's output see, where the others would add
// nothing. Quads are in the order of rows of taps, of taps, and of a tap's `tap_quads`.
struct QuadWindows {
  // Output rows (or columns) [begin, end) see rows (or columns) of taps [first, last).
  struct Span {
    size_t begin, end, first, last;
  };
  size_t out_h, out_w;
  size_t kernel_w, tap_quads;
  std::vector<Span> rows, columns;
};

struct QuadProduct {
  const QQuads* w;
  std::span<const int32_t> offsets;  // from a row to the codes of each id
  int32_t zero;                      // of x, as unsigned codes
  const QOutput* out;
  size_t channel = 0;  // of column 0 in `out`
  void* y;
  size_t y_stride;
  size_t rows;
  size_t unit;       // rows that are asked for together: blocks are multiples of it
  size_t row_bytes;  // of x, about, that a row brings into the cache
  const QResidual* residual = nullptr;   // its codes lie where those of y do
  const uint8_t* other = nullptr;        // the one beside y[0]
  const QuadWindows* windows = nullptr;  // of a convolution whose unit is a row of its output
};

// n codes as unsigned ones: signed ones are moved up by 128.
void CopyUnsigned(QCodes codes, size_t n, uint8_t* to);

// All tiles of a product, blocked for the caches and cut among the threads.
void RunQuadProduct(const QuadProduct& product, const QuadRows& rows, const Threads& threads);

}  // namespace mezzo
