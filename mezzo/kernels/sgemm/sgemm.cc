#include "mezzo/kernels/sgemm/sgemm.h"

#include <immintrin.h>

#include <algorithm>

namespace mezzo {
namespace {

constexpr int64_t kLane = 8;
constexpr int64_t kTileRows = 6;    // 6 x 16 sums fill 12 of the 16 vector registers
constexpr int64_t kBlockRows = 96;  // of A, kDepth deep: 96 KiB of the second-level cache
constexpr int64_t kDepth = 256;     // of B, one panel wide: 16 KiB of the first-level cache

// A stretch of K: segments [tap, tap + taps), numbers [begin, begin + depth) of each.
struct Stretch {
  int64_t tap, taps, begin, depth;
};

struct Tile {
  const float* const* segments;
  int64_t row_taps;  // pointers from one row to the next
  const float* b;
  int64_t panel_stride;
  float* c;
  int64_t c_stride;
  const float* init;
  int64_t init_stride;
  int64_t columns;  // that exist: fewer than 8 * V at the right edge
};

// Lanes of the vector that begins at column `first` that exist.
inline __m256i EdgeMask(int64_t first, int64_t columns) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(columns - first)), lane);
}

template <int R, int V>
using Sums = __m256[R][V];

template <int R, int V>
inline void LoadSums(const Tile& t, Sums<R, V>& sum) noexcept {
  const bool full = t.columns >= V * kLane;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      const int64_t at = r * t.init_stride + v * kLane;
      sum[r][v] = !t.init ? _mm256_setzero_ps()
                  : full  ? _mm256_loadu_ps(t.init + at)
                          : _mm256_maskload_ps(t.init + at, EdgeMask(v * kLane, t.columns));
    }
}

template <int R, int V>
inline void StoreSums(const Tile& t, const Sums<R, V>& sum) noexcept {
  const bool full = t.columns >= V * kLane;
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) {
      float* to = t.c + r * t.c_stride + v * kLane;
      if (full)
        _mm256_storeu_ps(to, sum[r][v]);
      else
        _mm256_maskstore_ps(to, EdgeMask(v * kLane, t.columns), sum[r][v]);
    }
}

// sum += a[.][k] * b[k][.] for one k.
template <int R, int V>
inline void Step(const float* const (&a)[R], int64_t k, const float* b, int64_t panel_stride,
                 Sums<R, V>& sum) noexcept {
  __m256 w[V];
#pragma GCC unroll 8
  for (int v = 0; v < V; ++v) w[v] = _mm256_load_ps(b + v / 2 * panel_stride + v % 2 * kLane);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m256 x = _mm256_broadcast_ss(a[r] + k);
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) sum[r][v] = _mm256_fmadd_ps(x, w[v], sum[r][v]);
  }
}

// R rows by V vectors of sums over one stretch of K.
template <int R, int V>
void RunTile(const Tile& tile, const Stretch& s) noexcept {
  const Tile t = tile;  // where stores through float pointers cannot change it
  Sums<R, V> sum;
  LoadSums<R, V>(t, sum);
  const float* b = t.b;
  const int64_t depth = s.depth, tap_end = s.tap + s.taps, begin = s.begin;
  for (int64_t tap = s.tap; tap < tap_end; ++tap) {
    const float* a[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) a[r] = t.segments[r * t.row_taps + tap] + begin;
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4, b += 4 * PackedB::kWidth)
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i)
        Step<R, V>(a, k + i, b + i * PackedB::kWidth, t.panel_stride, sum);
    for (; k < depth; ++k, b += PackedB::kWidth) Step<R, V>(a, k, b, t.panel_stride, sum);
  }
  StoreSums<R, V>(t, sum);
}

using TileFn = void (*)(const Tile&, const Stretch&) noexcept;

// [rows][which]: half a panel, one panel, and for few rows several panels at once, as fewer than
// eight sums would wait for each other.
constexpr TileFn kTiles[7][3] = {
    {},
    {RunTile<1, 1>, RunTile<1, 2>, RunTile<1, 8>},
    {RunTile<2, 1>, RunTile<2, 2>, RunTile<2, 4>},
    {RunTile<3, 1>, RunTile<3, 2>, RunTile<3, 2>},
    {RunTile<4, 1>, RunTile<4, 2>, RunTile<4, 2>},
    {RunTile<5, 1>, RunTile<5, 2>, RunTile<5, 2>},
    {RunTile<6, 1>, RunTile<6, 2>, RunTile<6, 2>},
};

int64_t WidePanels(int64_t rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

struct Operands {
  const GemmRows& a;
  const PackedB& b;
  float* c;
  int64_t c_stride;
  GemmInit init;
};

// Rows [r0, r1), at most kTileRows, by `step` panels from p on.
void RunAt(const Operands& o, const Stretch& s, int64_t r0, int64_t r1, int64_t p, int64_t step) {
  constexpr int64_t kWidth = PackedB::kWidth;
  const int64_t columns = std::min(o.b.n() - p * kWidth, step * kWidth);
  const float* init = o.init.values ? o.init.values + r0 * o.init.row_stride + p * kWidth : nullptr;
  const Tile tile{o.a.segments + r0 * o.a.taps,
                  o.a.taps,
                  o.b.panel(p) + (s.tap * o.a.depth + s.begin) * kWidth,
                  o.b.panel_stride(),
                  o.c + r0 * o.c_stride + p * kWidth,
                  o.c_stride,
                  init,
                  o.init.row_stride,
                  columns};
  kTiles[r1 - r0][step > 1 ? 2 : columns <= kLane ? 0 : 1](tile, s);
}

void RunStretch(const Operands& o, int64_t m, int64_t panel_begin, int64_t panel_end,
                const Stretch& s) {
  // Heights differ by at most one: 49 rows are nine tiles of 5 or 6, never eight and a single row.
  const int64_t tiles = (m + kTileRows - 1) / kTileRows;
  const auto row = [&](int64_t i) { return m * i / tiles; };
  const int64_t most = WidePanels(m);
  const auto step = [&](int64_t p) { return panel_end - p >= most ? most : 1; };
  // Whatever stays in the first-level cache goes inside: a shallow B, else one panel of B.
  if (s.taps * s.depth * (panel_end - panel_begin) <= kDepth) {
    for (int64_t i = 0; i < tiles; ++i)
      for (int64_t p = panel_begin; p < panel_end; p += step(p))
        RunAt(o, s, row(i), row(i + 1), p, step(p));
  } else {
    for (int64_t p = panel_begin; p < panel_end; p += step(p))
      for (int64_t i = 0; i < tiles; ++i) RunAt(o, s, row(i), row(i + 1), p, step(p));
  }
}

}  // namespace

PackedB::PackedB(const float* b, int64_t k, int64_t n, int64_t row_stride, int64_t column_stride,
                 const Threads& threads)
    : k_(k),
      n_(n),
      panel_stride_(k * kWidth),
      data_(Tensor::Zeros(DType::kFloat32, {panels() * k * kWidth})) {
  panels_ = data_.data<float>();
  if (k == 0) return;  // b may be null
  float* const packed = data_.data<float>();
  threads.For(panels(), std::max<int64_t>(1, 8192 / (k * kWidth + 1)), [&](size_t p0, size_t p1) {
    for (int64_t p = p0; p < static_cast<int64_t>(p1); ++p) {
      const int64_t columns = std::min(kWidth, n - p * kWidth);
      float* to = packed + p * k * kWidth;
      const float* from = b + p * kWidth * column_stride;
      for (int64_t i = 0; i < k; ++i)
        for (int64_t j = 0; j < columns; ++j)
          to[i * kWidth + j] = from[i * row_stride + j * column_stride];
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
