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

  // Rows [begin, begin + count), which lie at `rows`, and some panels.
  void Run(const uint8_t* const* rows, size_t begin, size_t count, size_t first_panel,
           size_t last_panel) const {
    const QuadProduct& p = product;
    const size_t element = p.out->ElementSize();
    const QQuads::Panel& last = p.w->panels()[last_panel - 1];
    const size_t end_column = last.column + last.cols;
    for (size_t panel = first_panel; panel < last_panel; ++panel) {
      const QQuads::Panel& w = p.w->panels()[panel];
      const size_t at = begin * p.y_stride + w.column;
      lines.strip(
          {rows, count, offsets.data() + w.id, w.pairs, w.singles, p.w->weights(w),
           start.data() + w.column, p.out, p.channel + w.column, w.cols, w.vectors,
           static_cast<char*>(p.y) + at * element, p.y_stride * element, p.residual,
           p.residual ? p.other + at : nullptr,
           panel == first_panel ? (end_column - w.column) * element : 0,
           panel == first_panel ? x_ahead : 0,
           begin == 0 && panel + 1 < last_panel ? p.w->bytes(p.w->panels()[panel + 1]) : 0});
    }
  }

  void RunBlock(size_t begin, size_t count, size_t first_panel, size_t last_panel) const {
    thread_local std::vector<const uint8_t*> rows;
    thread_local std::vector<uint8_t> copies;
    rows.resize(count + lines.tile_rows);
    place(begin, count, rows.data(), copies);
    std::fill(rows.begin() + static_cast<std::ptrdiff_t>(count), rows.end(), rows[count - 1]);
    const size_t step = std::min(rows_at_once, count);
    for (size_t r = 0; r < count; r += step)
      Run(rows.data() + r, begin + r, std::min(step, count - r), first_panel, last_panel);
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
