// Sums of quads by vpdpbusd, which adds four products u8 * s8 to an int32 and saturates nothing.
// The loop is written once, over what instructions there are:
//
//   Vector               of kLanes int32
//   Zero(), Sum(a, b), Load(from), Store(to, v)
//   Broadcast(codes)     four codes less QuadLines::off, repeated
//   Dot(acc, x, w)       acc += for each int32 the four products of these and weights w
//
// Such a struct lies in an unnamed namespace, so that what a file compiles with more instructions
// than others have is never taken for theirs by the linker.
#pragma once

#include <algorithm>
#include <bit>

#include "mezzo/kernels/qgemm/qgemm_avx2.h"
#include "mezzo/kernels/qgemm/quads_product.h"

namespace mezzo {

// Of R rows and V vectors of columns.
template <class D, int R, int V>
struct VnniSums {
  typename D::Vector at[R][V];
};

// Adds one quad.
template <class D, int R, int V>
MEZZO_INLINE inline void AddQuad(const uint8_t* const (&row)[R], int32_t offset, const int8_t* w,
                                 VnniSums<D, R, V>& acc) {
  typename D::Vector wv[V];
  Unrolled<V>([&](auto v) MEZZO_INLINE { wv[v] = D::Load(w + v * 4 * D::kLanes); });
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    const typename D::Vector x = D::Broadcast(row[r] + offset);
    Unrolled<V>([&](auto v) MEZZO_INLINE { D::Dot(acc.at[r][v], x, wv[v]); });
  });
}

// The sums of R rows from the first-th of a strip on, of V vectors; a quad of the strip has kPitch
// weights. Few rows take several quads at a time, each with sums of its own: an instruction waits
// for the one before it on the same sum, four or five cycles, and two could begin in each. With
// many, each quad fetches 64 bytes from `fetch` on, if that is given, into the second-level cache.
// kRuns: QuadStrip::runs may be more than 1.
template <class D, int R, int V, int kPitch, bool kRuns = false>
MEZZO_INLINE inline VnniSums<D, R, V> VnniSumsOf(const QuadStrip& s, size_t first,
                                                 const int8_t* fetch = nullptr) {
  constexpr int kEnough = 12;
  constexpr int kChains =
      std::min(8, static_cast<int>(std::bit_floor(std::max(1u, kEnough / (0u + R * V)))));
  const uint8_t* row[R];
  VnniSums<D, R, V> acc[kChains];
  Unrolled<R>([&](auto r) MEZZO_INLINE {
    row[r] = s.rows[first + r];
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      acc[0].at[r][v] = D::Load(s.start + v * D::kLanes);
      Unrolled<kChains - 1>([&](auto c) MEZZO_INLINE { acc[c + 1].at[r][v] = D::Zero(); });
    });
  });
  const size_t quads = 2 * s.pairs + s.singles, rest = quads % kChains;
  const int32_t* offsets = s.offsets;
  const int8_t* w = s.w;
  for (size_t run = 0;;) {
    const int32_t* const last = offsets + (quads - rest);
    for (; offsets != last; offsets += kChains, w += kPitch * kChains) {
      if (kChains == 1 && fetch) __builtin_prefetch(fetch, 0, 2), fetch += 64;
      Unrolled<kChains>([&](auto c)
                            MEZZO_INLINE { AddQuad<D>(row, offsets[c], w + kPitch * c, acc[c]); });
    }
    Unrolled<kChains - 1>([&](auto c) MEZZO_INLINE {
      if (c < rest) AddQuad<D>(row, offsets[c], w + kPitch * c, acc[c]);
    });
    if (!kRuns || ++run >= s.runs) break;
    offsets += rest + s.skipped, w += kPitch * (rest + s.skipped);
  }
  Unrolled<kChains - 1>([&](auto c) MEZZO_INLINE {
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        acc[0].at[r][v] = D::Sum(acc[0].at[r][v], acc[c + 1].at[r][v]);
      });
    });
  });
  return acc[0];
}

}  // namespace mezzo
