#include "mezzo/kernels/qgemm/qgemm.h"

#include <algorithm>
#include <vector>

#include "mezzo/base/aligned.h"
#include "mezzo/base/cpu.h"
#include "mezzo/kernels/qgemm/qgemm_panel.h"

namespace mezzo {
namespace {

// Multiply-adds below which waking another thread costs more than it saves.
constexpr size_t kSerialWork = 1 << 19;

// Elements between rows of a panel: even, and off powers of two so that the rows of a tile do not
// fall into the same cache sets.
size_t PanelStride(size_t depth) { return RoundUp(depth, 32) + 16; }

size_t Work(const QGemmArgs& a, const QWeights& w) { return a.rows * w.depth() * w.cols(); }

// How a product is cut: blocks of rows, each widened once per part, and parts of the panels.
struct Blocking {
  size_t block_rows, blocks, parts;
};

Blocking Choose(const QGemmArgs& a, const QWeights& w, size_t tile_rows, size_t threads) {
  const size_t stride_bytes = PanelStride(w.depth()) * sizeof(int16_t);
  // half of the second-level cache for the widened rows, the rest for weights and output
  const size_t fit = std::max<size_t>(Caches().l2 / 2 / stride_bytes / tile_rows, 1) * tile_rows;
  Blocking b{std::min(fit, RoundUp(a.rows, tile_rows)), 0, 1};
  if (threads > 1 && a.rows >= 4 * tile_rows * threads) {
    // whole rounds of equal blocks
    const size_t rounds = DivideUp(a.rows, fit * threads);
    b.block_rows = RoundUp(DivideUp(a.rows, rounds * threads), tile_rows);
  } else if (threads > 1) {
    b.parts = std::min(w.panels(), threads);
  }
  b.blocks = DivideUp(a.rows, b.block_rows);
  return b;
}

// Rows [begin, begin + count) times some panels.
void RunBlock(const QGemmArgs& a, const QWeights& w, const QOutput& out, size_t begin, size_t count,
              size_t first_panel, size_t last_panel) {
  const size_t stride = PanelStride(w.depth());
  thread_local std::vector<int16_t> buffer;
  int16_t* wide = AlignedScratch(buffer, stride * count);
  for (size_t r = 0; r < count; ++r) {
    const char* row = static_cast<const char*>(a.x.data) + (begin + r) * a.x_stride;
    kQLinesAvx2.widen(row, a.x.is_signed, w.depth(), static_cast<int16_t>(a.x_zero),
                      wide + r * stride);
    if (w.depth() % 2) wide[r * stride + w.depth()] = 0;
  }
  const size_t element = out.ElementSize();
  for (size_t panel = first_panel; panel < last_panel; ++panel) {
    for (size_t r = 0; r < count; r += kQLinesAvx2.tile_rows) {
      char* y = static_cast<char*>(a.y) + ((begin + r) * a.y_stride + panel * kQPanel) * element;
      kQLinesAvx2.tile({wide + r * stride, stride, std::min(kQLinesAvx2.tile_rows, count - r), &w,
                        panel, &out, y, a.y_stride});
    }
  }
}

}  // namespace

void QGemm(const QGemmArgs& a, const QWeights& w, const QOutput& out, const Threads& all) {
  if (CurrentIsa() == Isa::kPlain) return QGemmRef(a, w, out);
  if (a.rows == 0 || w.cols() == 0) return;
  const Threads threads = Work(a, w) < kSerialWork ? Threads() : all;
  const Blocking b = Choose(a, w, kQLinesAvx2.tile_rows, threads.count());
  const size_t panels = w.panels();
  const auto run = [&](size_t task, size_t) {
    const size_t block = task / b.parts, part = task % b.parts;
    const size_t begin = block * b.block_rows;
    RunBlock(a, w, out, begin, std::min(b.block_rows, a.rows - begin), panels * part / b.parts,
             panels * (part + 1) / b.parts);
  };
  threads.Each(b.blocks * b.parts, run);
}

}  // namespace mezzo
