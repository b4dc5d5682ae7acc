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
// The same with weights kAt bytes from w on. Compilers would keep addresses of their own for many.
template <int kAt>
MEZZO_INLINE inline void DotAvx512(__m512i& acc, __m512i x, const uint8_t* w) {
  asm("vpdpbusd %c[at](%[w]), %[x], %[acc]"
      : [acc] "+v"(acc)
      : [x] "v"(x), [w] "r"(w), [at] "i"(kAt), "m"(*reinterpret_cast<const char(*)[kAt + 64]>(w)));
}

// acc += for each int32 the two products of int16 codes.
MEZZO_INLINE inline void DotPairsAvx512(__m512i& acc, __m512i x, __m512i w) {
  asm("vpdpwssd %[w], %[x], %[acc]" : [acc] "+v"(acc) : [x] "v"(x), [w] "v"(w));
}

// Four bytes, repeated. Written out, as in BroadcastAvx2.
MEZZO_INLINE inline __m512i BroadcastAvx512(const void* bytes) {
  __m512i four;
  asm("vpbroadcastd %[x], %[four]"
      : [four] "=v"(four)
      : [x] "m"(*static_cast<const int32_t(*)[1]>(bytes)));
  return four;
}

// The lanes of sixteen that exist of n.
MEZZO_INLINE inline __mmask16 FirstLanesAvx512(int64_t n) {
  return static_cast<__mmask16>(n <= 0 ? 0 : n >= 16 ? 0xffff : (1 << n) - 1);
}

// The bytes of 64 that exist of n: 1..64.
MEZZO_INLINE inline __mmask64 FirstBytesAvx512(size_t n) { return ~uint64_t{0} >> (64 - n); }

// Codes of four vectors of rounded values less their zero point, which lie as vectors of 128 bits
// are packed: 4 of a, of b, of c, of d, and so on. Codes of a signed type that are never negative
// are as good unsigned.
MEZZO_INLINE inline __m512i PackedAvx512(__m512i a, __m512i b, __m512i c, __m512i d, int32_t zero,
                                         int32_t lo, int32_t hi) {
  const __m512i zeros = _mm512_set1_epi16(static_cast<int16_t>(zero));
  const __m512i least = _mm512_set1_epi8(static_cast<char>(lo));
  const __m512i most = _mm512_set1_epi8(static_cast<char>(hi));
  const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zeros);
  const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zeros);
  if (lo < 0) return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(ab, cd), least), most);
  return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(ab, cd), least), most);
}
// The same for all of uint8 and the zero point 0.
MEZZO_INLINE inline __m512i PackedUnsignedAvx512(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
}

// Packed codes of four vectors, in order.
MEZZO_INLINE inline __m512i InOrderAvx512(__m512i codes) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, codes);
}

// Bytes of four vectors in turn, a quad for each of 64 columns: vector k of the four holds columns
// 16 l + 4 k + i at 4 l + i. ab and cd: the bytes of the first two in turn, and of the last two.
struct BytePairs {
  __m512i lo, hi;
};
MEZZO_INLINE inline BytePairs PairsAvx512(__m512i a, __m512i b) {
  return {_mm512_unpacklo_epi8(a, b), _mm512_unpackhi_epi8(a, b)};
}
MEZZO_INLINE inline void QuadsAvx512(BytePairs ab, BytePairs cd, __m512i (&quads)[4]) {
  quads[0] = _mm512_unpacklo_epi16(ab.lo, cd.lo);
  quads[1] = _mm512_unpackhi_epi16(ab.lo, cd.lo);
  quads[2] = _mm512_unpacklo_epi16(ab.hi, cd.hi);
  quads[3] = _mm512_unpackhi_epi16(ab.hi, cd.hi);
}

// From this order of 64 columns to theirs, and back: 4 x 4 lanes of 128 bits transposed.
MEZZO_INLINE inline void TransposeLanesAvx512(__m512i (&v)[4]) {
  const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x88);
  const __m512i b = _mm512_shuffle_i32x4(v[0], v[1], 0xdd);
  const __m512i c = _mm512_shuffle_i32x4(v[2], v[3], 0x88);
  const __m512i d = _mm512_shuffle_i32x4(v[2], v[3], 0xdd);
  v[0] = _mm512_shuffle_i32x4(a, c, 0x88), v[1] = _mm512_shuffle_i32x4(b, d, 0x88);
  v[2] = _mm512_shuffle_i32x4(a, c, 0xdd), v[3] = _mm512_shuffle_i32x4(b, d, 0xdd);
}

}  // namespace mezzo
