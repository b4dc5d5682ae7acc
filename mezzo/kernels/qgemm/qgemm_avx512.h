// What files that are compiled for AVX-512 share. Everything is expanded in place: a function of
// its own could be taken by the linker for one that other processors run.
#pragma once

#include <immintrin.h>

#include "mezzo/kernels/qgemm/qgemm_avx2.h"

namespace mezzo {

// acc += for each int32 the four products of codes x and weights w. Written out, since g++ 12 moves
// sums to and fro around the intrinsic.
MEZZO_INLINE inline void DotAvx512(__m512i& acc, __m512i x, __m512i w) {
  asm("vpdpbusd %[w], %[x], %[acc]" : [acc] "+v"(acc) : [x] "v"(x), [w] "v"(w));
}

// PackedAvx2 for 64 codes, which lie as vectors of 128 bits are packed: 4 of a, of b, of c, of d,
// and so on. Codes of a signed type that are never negative are as good unsigned.
MEZZO_INLINE inline __m512i PackedAvx512(__m512i a, __m512i b, __m512i c, __m512i d, int32_t zero,
                                         int32_t lo) {
  const __m512i zeros = _mm512_set1_epi16(static_cast<int16_t>(zero));
  const __m512i least = _mm512_set1_epi8(static_cast<char>(lo));
  const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zeros);
  const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zeros);
  return lo < 0 ? _mm512_max_epi8(_mm512_packs_epi16(ab, cd), least)
                : _mm512_max_epu8(_mm512_packus_epi16(ab, cd), least);
}

}  // namespace mezzo
