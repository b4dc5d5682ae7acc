// A tile of sgemm.h, written once over what vectors there are:
//
//   Vector, kLanes        of floats; kLanes divides a panel's width
//   Zero(), Load(from), Broadcast(from), Store(to, v), MulAdd(a, b, sum)
//   LoadFirst(from, n), StoreFirst(to, v, n)   the first n lanes alone, n from below 0 to above all
//
// Such a struct lies in an unnamed namespace, so that what a file compiles with more instructions
// than others have is never taken for theirs by the linker.
#pragma once

#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/sgemm/sgemm_lines.h"

namespace mezzo {

// Of R rows and V vectors of columns.
template <class D, int R, int V>
using SgemmSums = typename D::Vector[R][V];

template <class D, int R, int V>
[[gnu::always_inline]] inline void LoadSums(const GemmTile& t, SgemmSums<D, R, V>& sum) noexcept {
  const bool full = t.columns >= V * D::kLanes;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      const int64_t at = r * t.init_stride + v * D::kLanes;
      sum[r][v] = !t.init ? D::Zero()
                  : full  ? D::Load(t.init + at)
                          : D::LoadFirst(t.init + at, t.columns - v * D::kLanes);
    }
}

template <class D, int R, int V>
[[gnu::always_inline]] inline void StoreSums(const GemmTile& t,
                                             const SgemmSums<D, R, V>& sum) noexcept {
  const bool full = t.columns >= V * D::kLanes;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      float* to = t.c + r * t.c_stride + v * D::kLanes;
      if (full)
        D::Store(to, sum[r][v]);
      else
        D::StoreFirst(to, sum[r][v], t.columns - v * D::kLanes);
    }
}

// sum += a[.][k] * b[k][.] for one k.
template <class D, int R, int V>
[[gnu::always_inline]] inline void Step(const float* const (&a)[R], int64_t k, const float* b,
                                        int64_t panel_stride, SgemmSums<D, R, V>& sum) noexcept {
  constexpr int kInPanel = PackedB::kWidth / D::kLanes;
  typename D::Vector w[V];
#pragma GCC unroll 16
  for (int v = 0; v < V; ++v)
    w[v] = D::Load(b + v / kInPanel * panel_stride + v % kInPanel * D::kLanes);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const typename D::Vector x = D::Broadcast(a[r] + k);
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) sum[r][v] = D::MulAdd(x, w[v], sum[r][v]);
  }
}

// R rows by V vectors of sums over one stretch of K.
template <class D, int R, int V>
void RunTile(const GemmTile& tile, const GemmStretch& s) noexcept {
  const GemmTile t = tile;  // where stores through float pointers cannot change it
  SgemmSums<D, R, V> sum;
  LoadSums<D, R, V>(t, sum);
  const float* b = t.b;
  const int64_t depth = s.depth, tap_end = s.tap + s.taps, begin = s.begin;
  for (int64_t tap = s.tap; tap < tap_end; ++tap) {
    const float* a[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) a[r] = t.segments[r * t.row_taps + tap] + begin;
    int64_t k = 0;
    for (; k + 4 <= depth; k += 4, b += 4 * PackedB::kWidth)
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i)
        Step<D, R, V>(a, k + i, b + i * PackedB::kWidth, t.panel_stride, sum);
    for (; k < depth; ++k, b += PackedB::kWidth) Step<D, R, V>(a, k, b, t.panel_stride, sum);
  }
  StoreSums<D, R, V>(t, sum);
}

using SgemmTileFn = void (*)(const GemmTile&, const GemmStretch&) noexcept;

}  // namespace mezzo
