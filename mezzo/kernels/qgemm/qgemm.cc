#include "mezzo/kernels/qgemm/qgemm.h"

#include <algorithm>
#include <vector>

#include "mezzo/base/error.h"
#include "mezzo/kernels/qgemm/qgemm_panel.h"

namespace mezzo {
namespace {

// Multiply-adds below which waking another thread costs more than it saves.
constexpr size_t kSerialWork = 1 << 19;

size_t RoundUp(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Elements between rows of a panel: even, and off powers of two so that the rows of a tile do not
// fall into the same cache sets.
size_t PanelStride(size_t depth) { return RoundUp(depth, 32) + 16; }

// How a product is cut: blocks of rows, each gathered once per part, and parts of the panels.
struct Blocking {
  size_t block_rows, blocks, parts;
};

Blocking Choose(const QProduct& p, size_t tile_rows, size_t threads) {
  const size_t stride_bytes = PanelStride(p.w->depth()) * sizeof(int16_t);
  // half of the second-level cache for the gathered rows, the rest for weights and output
  const size_t fit = std::max<size_t>(Caches().l2 / 2 / stride_bytes / tile_rows, 1) * tile_rows;
  if (p.rows * p.w->depth() * p.w->cols() < kSerialWork) threads = 1;
  Blocking b{std::min(fit, RoundUp(p.rows, tile_rows)), 0, 1};
  if (threads > 1 && p.rows >= 4 * tile_rows * threads) {
    // whole rounds of equal blocks
    const size_t rounds = (p.rows + fit * threads - 1) / (fit * threads);
    b.block_rows = RoundUp((p.rows + rounds * threads - 1) / (rounds * threads), tile_rows);
  } else if (threads > 1) {
    b.parts = std::min(p.w->panels(), threads);
  }
  b.blocks = (p.rows + b.block_rows - 1) / b.block_rows;
  return b;
}

int16_t* Scratch(size_t elements) {
  thread_local std::vector<int16_t> buffer;
  if (buffer.size() < elements + 32) buffer.resize(elements + 32);
  const auto address = reinterpret_cast<uintptr_t>(buffer.data());
  return reinterpret_cast<int16_t*>(RoundUp(address, 64));
}

void RunBlock(const QProduct& p, const QLines& lines, const QGather& gather, size_t begin,
              size_t count, size_t first_panel, size_t last_panel) {
  const size_t stride = PanelStride(p.w->depth());
  int16_t* panel_x = Scratch(stride * count);
  gather(begin, count, panel_x, stride);
  const size_t element = p.out->ElementSize();
  for (size_t panel = first_panel; panel < last_panel; ++panel) {
    for (size_t r = 0; r < count; r += lines.tile_rows) {
      char* y = static_cast<char*>(p.y) + ((begin + r) * p.y_stride + panel * kQPanel) * element;
      lines.tile({panel_x + r * stride, stride, std::min(lines.tile_rows, count - r), p.w, panel,
                  p.out, p.channel + panel * kQPanel, y, p.y_stride});
    }
  }
}

}  // namespace

const QLines& LinesOf(Isa isa) {
  static constexpr const QLines* kTable[] = {&kQLinesAvx2};
  const QLines* best = nullptr;
  for (const QLines* lines : kTable)
    if (lines->isa <= isa) best = lines;
  Require(best != nullptr, "no integer kernels for instruction set ", Name(isa));
  return *best;
}

void RunQProduct(const QProduct& p, const QGather& gather, const Threads& threads) {
  if (p.rows == 0 || p.w->cols() == 0) return;
  const QLines& lines = LinesOf(CurrentIsa());
  const Blocking b = Choose(p, lines.tile_rows, threads.count());
  const size_t panels = p.w->panels();
  const auto run = [&](size_t task, size_t) {
    const size_t block = task / b.parts, part = task % b.parts;
    const size_t begin = block * b.block_rows;
    RunBlock(p, lines, gather, begin, std::min(b.block_rows, p.rows - begin),
             panels * part / b.parts, panels * (part + 1) / b.parts);
  };
  const size_t tasks = b.blocks * b.parts;
  if (p.rows * p.w->depth() * p.w->cols() < kSerialWork)
    for (size_t i = 0; i < tasks; ++i) run(i, 0);
  else
    threads.Each(tasks, run);
}

void QGemm(const QGemmArgs& a, const QWeights& w, const QOutput& out, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QGemmRef(a, w, out);
  const QLines& lines = LinesOf(CurrentIsa());
  const QGather gather = [&](size_t begin, size_t count, int16_t* panel, size_t stride) {
    for (size_t r = 0; r < count; ++r, panel += stride) {
      const char* row = static_cast<const char*>(a.x.data) + (begin + r) * a.x_stride;
      lines.widen(row, a.x.is_signed, w.depth(), static_cast<int16_t>(a.x_zero), panel);
      if (w.depth() % 2) panel[w.depth()] = 0;
    }
  };
  RunQProduct({a.rows, &w, &out, 0, a.y, a.y_stride}, gather, threads);
}

}  // namespace mezzo
