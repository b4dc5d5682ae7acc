#include "mezzo/kernels/qgemm/quads_product.h"

#include <algorithm>
#include <cstring>

#include "mezzo/base/aligned.h"
#include "mezzo/base/error.h"

namespace mezzo {
namespace {

// Multiply-adds below which waking another thread costs more than it saves.
constexpr size_t kSerialWork = 1 << 19;

size_t Work(const QuadProduct& p) { return p.rows * p.w->depth() * p.w->cols(); }

// How a product is cut: blocks of rows, and each into parts of the panels.
struct Blocking {
  size_t block_rows, blocks, parts;
};

// Several tasks for each thread, so that one whose core is busy with something else takes fewer.
constexpr size_t kTasksPerThread = 4;
// Rows below which reading the weights again for a block costs more than balance gains.
constexpr size_t kMinRows = 48;

Blocking Choose(const QuadProduct& p, size_t tile_rows, size_t threads) {
  const size_t unit = p.unit > 1 ? p.unit : tile_rows, units = DivideUp(p.rows, unit);
  // half of the second-level cache for x and y, the rest for weights
  const size_t bytes = unit * (p.row_bytes + p.w->cols() * p.out->ElementSize());
  const size_t fit = std::max<size_t>(Caches().l2 / 2 / bytes, 1);
  const size_t tasks = threads == 1 ? 1 : threads * kTasksPerThread;
  const size_t even = DivideUp(units, DivideUp(units, fit * tasks) * tasks);
  Blocking b;
  b.block_rows = unit * std::min(std::max(even, DivideUp(kMinRows, unit)), fit);
  b.blocks = DivideUp(p.rows, b.block_rows);
  b.parts = std::min(DivideUp(tasks, b.blocks), p.w->panels().size());
  return b;
}

// Rows of a block that all panels are computed for before the next ones: all, or where the weights
// leave room in the first-level cache, as many as fit beside them.
size_t RowsAtOnce(const QuadProduct& p, size_t tile_rows) {
  const size_t half = Caches().l1 / 2, weights = p.w->depth() * p.w->cols();
  if (weights > half) return SIZE_MAX;
  const size_t row = p.row_bytes + p.w->cols() * p.out->ElementSize();
  return std::max<size_t>(half / row / tile_rows, 4) * tile_rows;
}

// Bytes of rows of x that are worth fetching in advance: all where they lie side by side, come from
// behind the second-level cache, and have so many lines that processors do not foresee them.
size_t XAhead(const QuadProduct& p) {
  const size_t depth = p.w->depth();
  return p.w->run() == depth && depth >= 128 && p.rows * depth > Caches().l2 ? depth : 0;
}

// Rows of a product that lie apart by the same number of rows of y, and the quads that they meet.
struct Part {
  size_t row = 0, place = 0;            // the first one, and where the places of all begin
  size_t count = 0, step = 1;           // rows from each to the next
  size_t quad = 0, quads = 0;           // the first one, and how many at once
  size_t runs = SIZE_MAX, skipped = 0;  // QuadStrip's; SIZE_MAX: all quads
};

// What all blocks share.
struct Job {
  const QuadProduct& product;
  const QuadRows& place;
  const QuadLines& lines;
  std::vector<int32_t> start;
  std::vector<int32_t> offsets;  // of the quads of all panels
  size_t rows_at_once;
  size_t x_ahead;

  Job(const QuadProduct& p, const QuadRows& rows)
      : product(p),
        place(rows),
        lines(p.w->lines()),
        start(BeginSums(*p.out, p.channel, p.w->cols(), p.zero - lines.off, p.w->sums())),
        rows_at_once(RowsAtOnce(p, lines.tile_rows)),
        x_ahead(XAhead(p)) {
    for (const QQuads::Panel& panel : p.w->panels())
      for (size_t q = 0; q < panel.quads(); ++q) offsets.push_back(p.offsets[p.w->ids(panel)[q]]);
  }

  // Parts of a block, and some panels.
  void Run(std::span<const Part> parts, const uint8_t* const* rows, size_t first_panel,
           size_t last_panel) const {
    const QuadProduct& p = product;
    const size_t element = p.out->ElementSize();
    const QQuads::Panel& last = p.w->panels()[last_panel - 1];
    const size_t end_column = last.column + last.cols;
    for (size_t panel = first_panel; panel < last_panel; ++panel) {
      const QQuads::Panel& w = p.w->panels()[panel];
      const int8_t* next = p.w->weights(w) + p.w->bytes(w);
      const bool fetches = parts[0].row == 0 && panel + 1 < last_panel;
      size_t after = fetches ? p.w->bytes(p.w->panels()[panel + 1]) : 0;
      for (const Part& part : parts) {
        const size_t at = part.row * p.y_stride + w.column;
        const size_t quads = part.runs == SIZE_MAX ? w.quads() : part.quads * part.runs;
        QuadStrip strip{rows + part.place,
                        part.count,
                        offsets.data() + w.id + part.quad,
                        w.pairs,
                        w.singles,
                        p.w->weights(w) + part.quad * 4 * kQPanel * w.vectors,
                        start.data() + w.column,
                        p.out,
                        p.channel + w.column,
                        w.cols,
                        w.vectors,
                        static_cast<char*>(p.y) + at * element,
                        part.step * p.y_stride * element,
                        p.residual,
                        p.residual ? p.other + at : nullptr,
                        panel == first_panel ? (end_column - w.column) * element : 0,
                        panel == first_panel ? x_ahead : 0,
                        next,
                        after};
        if (part.runs != SIZE_MAX)
          strip.singles = part.quads, strip.runs = part.runs, strip.skipped = part.skipped;
        lines.strip(strip);
        const size_t fetched = std::min(after, 64 * quads * DivideUp(part.count, lines.tile_rows));
        next += fetched, after -= fetched;
      }
    }
  }

  // Output rows of a convolution: pixels that see the same taps are parts, those of a column one
  // below the other. Their places go behind those that are there.
  void Cut(size_t begin, size_t count, size_t first_place, std::vector<Part>& parts,
           std::vector<const uint8_t*>& places) const {
    const QuadWindows& v = *product.windows;
    for (size_t r = begin / v.out_w, end = r + count / v.out_w, rows; r < end; r += rows) {
      const size_t i = r % v.out_h;  // of an image
      const auto seen = std::find_if(v.rows.begin(), v.rows.end(),
                                     [&](const QuadWindows::Span& s) { return i < s.end; });
      rows = std::min(seen->end - i, end - r);
      for (const QuadWindows::Span& columns : v.columns) {
        const size_t taps = columns.last - columns.first, width = columns.end - columns.begin;
        Part part;
        part.quad = (seen->first * v.kernel_w + columns.first) * v.tap_quads;
        part.quads = seen->last > seen->first ? taps * v.tap_quads : 0;
        part.runs = seen->last - seen->first;
        part.skipped = v.kernel_w * v.tap_quads - part.quads;
        const bool upright = width < rows;
        part.count = upright ? rows : width, part.step = upright ? v.out_w : 1;
        for (size_t k = 0; k < std::min(rows, width); ++k) {
          part.row = (upright ? r : r + k) * v.out_w + columns.begin + (upright ? k : 0);
          part.place = first_place + part.row - begin;
          if (upright) {
            const size_t from = part.place;
            part.place = places.size();
            for (size_t n = 0; n < rows; ++n) places.push_back(places[from + n * v.out_w]);
          }
          parts.push_back(part);
        }
      }
    }
  }

  void RunBlock(size_t begin, size_t count, size_t first_panel, size_t last_panel) const {
    thread_local std::vector<const uint8_t*> rows;
    thread_local std::vector<uint8_t> copies;
    thread_local std::vector<Part> parts;
    rows.resize(count);
    place(begin, count, rows.data(), copies);
    const QuadWindows* windows = product.windows;
    size_t step = std::min(rows_at_once, count);
    if (windows) step = std::max<size_t>(step / windows->out_w, 1) * windows->out_w;
    for (size_t r = 0; r < count; r += step) {
      const size_t n = std::min(step, count - r);
      parts.clear(), rows.resize(count);
      if (windows)
        Cut(begin + r, n, r, parts, rows);
      else
        parts.push_back({.row = begin + r, .place = r, .count = n});
      rows.insert(rows.end(), lines.tile_rows, rows.back());
      Run(parts, rows.data(), first_panel, last_panel);
    }
  }
};

}  // namespace

const QuadLines& QuadLinesOf(Isa isa) {
  switch (isa) {
    case Isa::kPlain:
      break;
    case Isa::kAvx2:
      return kQuadLinesAvx2;
    case Isa::kNeonDot:
      return MEZZO_NEON(kQuadLinesNeonDot);
    case Isa::kAvxVnni:
      return MEZZO_X86(kQuadLinesAvxVnni);
    case Isa::kAvx512Vnni:
      return MEZZO_X86(kQuadLinesAvx512Vnni);
  }
  throw UsageError(Cat("no integer kernels for instruction set ", Name(isa)));
}

void RunQuadProduct(const QuadProduct& p, const QuadRows& rows, const Threads& all) {
  if (p.rows == 0 || p.w->cols() == 0) return;
  const Threads threads = Work(p) < kSerialWork ? Threads() : all;
  const Job job(p, rows);
  const Blocking b = Choose(p, job.lines.tile_rows, threads.count());
  const size_t panels = p.w->panels().size();
  threads.Each(b.blocks * b.parts, [&](size_t task, size_t) {
    const size_t begin = task / b.parts * b.block_rows, part = task % b.parts;
    job.RunBlock(begin, std::min(b.block_rows, p.rows - begin), panels * part / b.parts,
                 panels * (part + 1) / b.parts);
  });
}

void QGemm(const QGemmArgs& a, const QQuads& w, const QOutput& out, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QGemmRef(a, w, out);
  std::vector<int32_t> offsets(w.quads_per_run());
  for (size_t q = 0; q < offsets.size(); ++q) offsets[q] = static_cast<int32_t>(4 * q);
  const auto* x = static_cast<const uint8_t*>(a.x.data);
  const auto place = [&](size_t begin, size_t count, const uint8_t** rows,
                         std::vector<uint8_t>& scratch) {
    if (!a.x.is_signed && w.depth() % 4 == 0) {
      for (size_t r = 0; r < count; ++r) rows[r] = x + (begin + r) * a.x_stride;
      return;
    }
    const size_t stride = RoundUp(w.depth(), 4);
    scratch.resize(std::max(scratch.size(), count * stride));
    for (size_t r = 0; r < count; ++r) {
      uint8_t* row = scratch.data() + r * stride;
      rows[r] = row;
      CopyUnsigned({x + (begin + r) * a.x_stride, a.x.is_signed}, w.depth(), row);
    }
  };
  RunQuadProduct(
      {&w, offsets, a.x.Unsigned(a.x_zero), &out, 0, a.y, a.y_stride, a.rows, 1, w.depth()}, place,
      threads);
}

void CopyUnsigned(QCodes codes, size_t n, uint8_t* to) {
  const auto* from = static_cast<const uint8_t*>(codes.data);
  if (!codes.is_signed) {
    std::memcpy(to, from, n);
    return;
  }
  for (size_t i = 0; i < n; ++i) to[i] = from[i] ^ 0x80;
}

}  // namespace mezzo
