// Products of quads by vpdpbusd, which adds four products u8 * s8 to an int32 and saturates
// nothing: pairs and single quads are the same to it. The loop is written once, over what
// instructions there are:
//
//   Vector               of kLanes int32
//   kRows                of the largest tile
//   kVectors             for a row's sums: columns from kVectors * kLanes on are left out
//   Zero(), Sum(a, b), Load(from), Store(to, v)
//   Broadcast(codes)     four codes, repeated
//   Dot(acc, x, w)       acc += for each int32 the four products of codes x and weights w
//
// Such a struct lies in an unnamed namespace, so that what a file compiles with more instructions
// than others have is never taken for theirs by the linker.
#pragma once

#include <algorithm>
#include <bit>

#include "mezzo/kernels/qgemm/qgemm_avx2.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {

// Some rows times one panel.
struct VnniTile {
  const uint8_t* const* rows;
  const int32_t* offsets;  // as in QuadStrip
  const int8_t* w;
  size_t quads;
  const int32_t* start;
  int32_t* sums;  // (rows, kQPanel)
};

using VnniSums = void (*)(const VnniTile&, size_t rows);

inline constexpr size_t kVnniMaxRows = 16;

// All tiles of a strip: `sums` for up to tile_rows rows, and the output stage, in AVX2.
void RunVnniStrip(const QuadStrip& strip, size_t tile_rows, VnniSums sums);

// Adds one quad to the sums of R rows.
template <class D, int R>
MEZZO_INLINE inline void AddQuad(const uint8_t* const (&row)[R], int32_t offset, const int8_t* w,
                                 typename D::Vector (&acc)[R][D::kVectors]) {
  typename D::Vector wv[D::kVectors];
  Unrolled<D::kVectors>([&](auto v) MEZZO_INLINE { wv[v] = D::Load(w + v * 4 * D::kLanes); });
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    const typename D::Vector x = D::Broadcast(row[r] + offset);
    Unrolled<D::kVectors>([&](auto v) MEZZO_INLINE { D::Dot(acc[r][v], x, wv[v]); });
  });
}

// The sums of R rows. Few rows take several quads at a time, each with sums of its own: an
// instruction waits for the one before it on the same sum, four or five cycles, and two could begin
// in each.
template <class D, int R>
void SumRows(const VnniTile& t) {
  constexpr int V = D::kVectors, kSums = 12;
  constexpr int kChains =
      std::min(8, static_cast<int>(std::bit_floor(std::max(1u, kSums / (0u + R * V)))));
  int32_t* volatile sums = t.sums;  // kept in memory: ten rows take all registers
  const uint8_t* row[R];
  typename D::Vector acc[kChains][R][V];
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    row[r] = t.rows[r];
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      acc[0][r][v] = D::Load(t.start + v * D::kLanes);
      Unrolled<kChains - 1>([&](auto c) MEZZO_INLINE { acc[c + 1][r][v] = D::Zero(); });
    });
  });
  const int32_t* offsets = t.offsets;
  const int8_t* w = t.w;
  size_t quads = t.quads;
  for (; quads >= kChains; quads -= kChains, offsets += kChains, w += 64 * kChains)
    Unrolled<kChains>([&](auto c)
                          MEZZO_INLINE { AddQuad<D>(row, offsets[c], w + 64 * c, acc[c]); });
  Unrolled<kChains - 1>([&](auto c) MEZZO_INLINE {
    if (c < quads) AddQuad<D>(row, offsets[c], w + 64 * c, acc[c]);
  });
  int32_t* to = sums;
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      Unrolled<kChains - 1>(
          [&](auto c) MEZZO_INLINE { acc[0][r][v] = D::Sum(acc[0][r][v], acc[c + 1][r][v]); });
      D::Store(to + r * static_cast<int>(kQPanel) + v * D::kLanes, acc[0][r][v]);
    });
  });
}

// SumRows<D, rows>.
template <class D>
void SumTile(const VnniTile& t, size_t rows) {
  static_assert(D::kRows <= kVnniMaxRows);
  Unrolled<D::kRows>([&](auto r) MEZZO_INLINE {
    if (rows == r + 1) SumRows<D, r + 1>(t);
  });
}

}  // namespace mezzo
