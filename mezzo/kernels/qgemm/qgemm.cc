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

size_t Work(const QGemmArgs& a, const QWeights& w) { return a.rows * w.depth() * w.cols(); }

// How a product is cut: blocks of rows, each gathered once per part, and parts of the panels.
struct Blocking {
  size_t block_rows, blocks, parts;
};

Blocking Choose(const QGemmArgs& a, const QWeights& w, size_t tile_rows, size_t threads) {
  const size_t stride_bytes = PanelStride(w.depth()) * sizeof(int16_t);
  // half of the second-level cache for the gathered rows, the rest for weights and output
  const size_t fit = std::max<size_t>(Caches().l2 / 2 / stride_bytes / tile_rows, 1) * tile_rows;
  if (Work(a, w) < kSerialWork) threads = 1;
  Blocking b{std::min(fit, RoundUp(a.rows, tile_rows)), 0, 1};
  if (threads > 1 && a.rows >= 4 * tile_rows * threads) {
    // whole rounds of equal blocks
    const size_t rounds = (a.rows + fit * threads - 1) / (fit * threads);
    b.block_rows = RoundUp((a.rows + rounds * threads - 1) / (rounds * threads), tile_rows);
  } else if (threads > 1) {
    b.parts = std::min(w.panels(), threads);
  }
  b.blocks = (a.rows + b.block_rows - 1) / b.block_rows;
  return b;
}

int16_t* Scratch(size_t elements) {
  thread_local std::vector<int16_t> buffer;
  if (buffer.size() < elements + 32) buffer.resize(elements + 32);
  const auto address = reinterpret_cast<uintptr_t>(buffer.data());
  return reinterpret_cast<int16_t*>(RoundUp(address, 64));
}

// Rows [begin, begin + count) times some panels.
void RunBlock(const QGemmArgs& a, const QWeights& w, const QOutput& out, const QLines& lines,
              size_t begin, size_t count, size_t first_panel, size_t last_panel) {
  const size_t stride = PanelStride(w.depth());
  int16_t* wide = Scratch(stride * count);
  for (size_t r = 0; r < count; ++r) {
    const char* row = static_cast<const char*>(a.x.data) + (begin + r) * a.x_stride;
    lines.widen(row, a.x.is_signed, w.depth(), static_cast<int16_t>(a.x_zero), wide + r * stride);
    if (w.depth() % 2) wide[r * stride + w.depth()] = 0;
  }
  const size_t element = out.ElementSize();
  for (size_t panel = first_panel; panel < last_panel; ++panel) {
    for (size_t r = 0; r < count; r += lines.tile_rows) {
      char* y = static_cast<char*>(a.y) + ((begin + r) * a.y_stride + panel * kQPanel) * element;
      lines.tile({wide + r * stride, stride, std::min(lines.tile_rows, count - r), &w, panel, &out,
                  y, a.y_stride});
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

void QGemm(const QGemmArgs& a, const QWeights& w, const QOutput& out, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return QGemmRef(a, w, out);
  if (a.rows == 0 || w.cols() == 0) return;
  const QLines& lines = LinesOf(CurrentIsa());
  const Blocking b = Choose(a, w, lines.tile_rows, threads.count());
  const size_t panels = w.panels();
  const auto run = [&](size_t task, size_t) {
    const size_t block = task / b.parts, part = task % b.parts;
    const size_t begin = block * b.block_rows;
    RunBlock(a, w, out, lines, begin, std::min(b.block_rows, a.rows - begin),
             panels * part / b.parts, panels * (part + 1) / b.parts);
  };
  const size_t tasks = b.blocks * b.parts;
  if (Work(a, w) < kSerialWork)
    for (size_t i = 0; i < tasks; ++i) run(i, 0);
  else
    threads.Each(tasks, run);
}

}  // namespace mezzo
