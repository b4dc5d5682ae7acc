#include "mezzo/kernels/sgemm/sgemm.h"

#include <algorithm>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/sgemm/sgemm_lines.h"
#include "mezzo/kernels/vmath/transpose.h"

namespace mezzo {
namespace {

constexpr int64_t kBlockRows = 96;  // of A, kDepth deep: 96 KiB of the second-level cache
constexpr int64_t kDepth = 256;     // of B, one panel wide: 16 KiB of the first-level cache

struct Operands {
  const GemmRows& a;
  const PackedB& b;
  float* c;
  int64_t c_stride;
  GemmInit init;
};

// Rows [r0, r1) by `panels` panels from p on.
void RunAt(const Operands& o, const GemmStretch& s, const SgemmLines& lines, int64_t r0, int64_t r1,
           int64_t p, int64_t panels) {
  constexpr int64_t kWidth = PackedB::kWidth;
  const float* init = o.init.values ? o.init.values + r0 * o.init.row_stride + p * kWidth : nullptr;
  const GemmTile tile{o.a.segments + r0 * o.a.taps,
                      o.a.taps,
                      o.b.panel(p) + (s.tap * o.a.depth + s.begin) * kWidth,
                      o.b.panel_stride(),
                      o.c + r0 * o.c_stride + p * kWidth,
                      o.c_stride,
                      init,
                      o.init.row_stride,
                      std::min(o.b.n() - p * kWidth, panels * kWidth)};
  lines.run(r1 - r0, panels, tile, s);
}

void RunStretch(const Operands& o, int64_t m, int64_t panel_begin, int64_t panel_end,
                const GemmStretch& s) {
  const SgemmLines& lines =
      CurrentIsa() == Isa::kAvx512Vnni ? MEZZO_X86(SgemmAvx512)() : SgemmAvx2();
  // Heights differ by at most one: 49 rows are nine tiles of 5 or 6, never eight and a single row.
  const int64_t tiles = (m + lines.rows - 1) / lines.rows;
  const auto row = [&](int64_t i) { return m * i / tiles; };
  const int64_t highest = (m + tiles - 1) / tiles;
  const auto step = [&](int64_t p) { return lines.panels(highest, panel_end - p); };
  // Whatever stays in the first-level cache goes inside: a shallow B, else a few panels of it.
  if (s.taps * s.depth * (panel_end - panel_begin) <= kDepth) {
    for (int64_t i = 0; i < tiles; ++i)
      for (int64_t p = panel_begin; p < panel_end; p += step(p))
        RunAt(o, s, lines, row(i), row(i + 1), p, step(p));
  } else {
    for (int64_t p = panel_begin; p < panel_end; p += step(p))
      for (int64_t i = 0; i < tiles; ++i) RunAt(o, s, lines, row(i), row(i + 1), p, step(p));
  }
}

}  // namespace

PackedB::PackedB(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride,
                 const Threads& threads)
    : k_(k), n_(n), panel_stride_(k * kWidth), data_(DType::kFloat32, {panels() * k * kWidth}) {
  panels_ = data_.data<float>();
  if (k == 0) return;  // b may be null
  float* const packed = data_.data<float>();
  threads.For(panels(), std::max<int64_t>(1, 8192 / (k * kWidth + 1)), [&](size_t p0, size_t p1) {
    for (int64_t p = p0; p < static_cast<int64_t>(p1); ++p) {
      const int64_t columns = std::min(kWidth, n - p * kWidth);
      float* to = packed + p * k * kWidth;
      const float* from = b + p * kWidth * column_stride;
      if (columns < kWidth) std::fill_n(to, k * kWidth, 0.0f);
      if (row_stride == 1) {
        vmath::Transpose(from, column_stride, columns, k, to, kWidth);
      } else if (column_stride == 1 && columns == kWidth) {
        for (int64_t i = 0; i < k; ++i) std::copy_n(from + i * row_stride, kWidth, to + i * kWidth);
      } else {
        for (int64_t i = 0; i < k; ++i)
          for (int64_t j = 0; j < columns; ++j)
            to[i * kWidth + j] = from[i * row_stride + j * column_stride];
      }
    }
  });
}

PackedB PackedB::View(const float* panels, int64_t k, int64_t n, int64_t panel_stride) {
  PackedB b;
  b.k_ = k, b.n_ = n, b.panel_stride_ = panel_stride, b.panels_ = panels;
  return b;
}

void SgemmBlock(const GemmRows& a, int64_t m, const PackedB& b, int64_t panel_begin,
                int64_t panel_end, float* c, int64_t c_stride, GemmInit init) noexcept {
  if (m == 0) return;
  const int64_t taps_at_once = std::max<int64_t>(1, kDepth / std::max<int64_t>(a.depth, 1));
  bool first = true;
  for (int64_t tap = 0; tap < a.taps; tap += taps_at_once) {
    const int64_t taps = std::min(taps_at_once, a.taps - tap);
    int64_t begin = 0;
    do {
      const int64_t depth = taps > 1 ? a.depth : std::min(a.depth - begin, kDepth);
      // Later stretches go on from what the earlier ones left in C: the same chain.
      const GemmInit from = first ? init : GemmInit{c, c_stride};
      RunStretch({a, b, c, c_stride, from}, m, panel_begin, panel_end, {tap, taps, begin, depth});
      first = false;
      begin += depth;
    } while (begin < a.depth);
  }
}

GemmCut CutGemm(int64_t m, int64_t panels, int64_t repeats, size_t threads) {
  const int64_t blocks = std::max<int64_t>(1, (m + kBlockRows - 1) / kBlockRows);
  const int64_t rows = std::max<int64_t>(1, (m + blocks - 1) / blocks);
  if (threads == 1) return {rows, std::max<int64_t>(panels, 1)};
  const int64_t want = static_cast<int64_t>(threads) * 4;
  const int64_t cuts = std::clamp<int64_t>(want / (blocks * repeats), 1, (panels + 3) / 4);
  return {rows, std::max<int64_t>(1, (panels + cuts - 1) / cuts)};
}

void Sgemm(const float* a, int64_t a_stride, int64_t m, const PackedB& b, float* c,
           int64_t c_stride, GemmInit init, const Threads& threads) {
  const GemmCut cut = CutGemm(m, b.panels(), 1, m * b.n() * b.k() < 20000 ? 1 : threads.count());
  const int64_t blocks = (m + cut.rows - 1) / cut.rows;
  const int64_t strips = (b.panels() + cut.panels - 1) / cut.panels;
  const auto run = [&](size_t i, size_t) {
    const int64_t row = static_cast<int64_t>(i) / strips * cut.rows;
    const int64_t panel = static_cast<int64_t>(i) % strips * cut.panels;
    const int64_t rows = std::min(cut.rows, m - row);
    const float* segments[kBlockRows];
    for (int64_t r = 0; r < rows; ++r) segments[r] = a + (row + r) * a_stride;
    SgemmBlock({segments, 1, b.k()}, rows, b, panel, std::min(panel + cut.panels, b.panels()),
               c + row * c_stride, c_stride,
               {init.values ? init.values + row * init.row_stride : nullptr, init.row_stride});
  };
  if (blocks * strips == 1) return run(0, 0);
  threads.Each(blocks * strips, run);
}

}  // namespace mezzo
