// The output stage of integer kernels in AVX2: StoreQOutputRef for sixteen columns at once.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

#define MEZZO_INLINE __attribute__((always_inline))

// f(0), ..., f(N - 1) with constants, so that arrays indexed by them stay in registers.
template <int N, class F>
MEZZO_INLINE inline void Unrolled(const F& f) {
  [&]<int... i>(std::integer_sequence<int, i...>) MEZZO_INLINE {
    (f(std::integral_constant<int, i>()), ...);
  }
  (std::make_integer_sequence<int, N>());
}

// acc += the products of pairs of 16-bit numbers. Written out because tiles fill the register file,
// and compilers that may reorder the products spill sums.
MEZZO_INLINE inline void MultiplyAddAvx2(__m256i& acc, __m256i x, __m256i w) {
  __m256i product;
  asm("vpmaddwd %[w], %[x], %[p]\n\tvpaddd %[p], %[acc], %[acc]"
      : [acc] "+x"(acc), [p] "=&x"(product)
      : [x] "x"(x), [w] "xm"(w));
}

// sum * scale (+ offset) of columns n..n+7; the sums include the biases.
[[gnu::always_inline]] inline __m256 ScaledAvx2(const QOutput& out, size_t n, __m256i sum) {
  __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(out.scale.data() + n));
  if (out.has_offset) v = _mm256_add_ps(v, _mm256_loadu_ps(out.offset.data() + n));
  return v;
}

[[gnu::always_inline]] inline __m256i RoundedAvx2(const QOutput& out, __m256 v) {
  const __m256 lo = _mm256_set1_ps(static_cast<float>(out.lo - out.zero_point));
  const __m256 hi = _mm256_set1_ps(static_cast<float>(out.hi - out.zero_point));
  v = _mm256_min_ps(_mm256_max_ps(v, lo), hi);
  return _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(out.zero_point));
}

// Sixteen codes in -128..255 as bytes, in order.
[[gnu::always_inline]] inline __m128i BytesAvx2(__m256i lo, __m256i hi) {
  // keep the low byte of each so that signed and unsigned codes pack alike
  const __m256i mask = _mm256_set1_epi32(255);
  const __m256i words = _mm256_permute4x64_epi64(
      _mm256_packus_epi32(_mm256_and_si256(lo, mask), _mm256_and_si256(hi, mask)), 0xd8);
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

// Codes of four vectors of rounded values less their zero point, in order. Values outside of 32
// bits must have been cut off above; below, the conversion has made them the least int32, which
// saturates to the same.
MEZZO_INLINE inline __m256i PackedAvx2(__m256i a, __m256i b, __m256i c, __m256i d, int32_t zero,
                                       int32_t lo, bool is_signed) {
  const __m256i zeros = _mm256_set1_epi16(static_cast<int16_t>(zero));
  const __m256i least = _mm256_set1_epi8(static_cast<char>(lo));
  const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zeros);
  const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zeros);
  const __m256i codes = is_signed ? _mm256_max_epi8(_mm256_packs_epi16(ab, cd), least)
                                  : _mm256_max_epu8(_mm256_packus_epi16(ab, cd), least);
  return _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// Codes of four vectors of sums (biases included), of columns na..na+7 and so on, in order.
MEZZO_INLINE inline __m256i CodesOf32Avx2(const QOutput& out, size_t na, size_t nb, size_t nc,
                                          size_t nd, __m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256 hi = _mm256_set1_ps(static_cast<float>(out.hi - out.zero_point));
  const auto rounded = [&](size_t n, __m256i sum) MEZZO_INLINE {
    return _mm256_cvtps_epi32(_mm256_min_ps(ScaledAvx2(out, n, sum), hi));
  };
  return PackedAvx2(rounded(na, a), rounded(nb, b), rounded(nc, c), rounded(nd, d), out.zero_point,
                    out.lo, out.kind == QOutput::Kind::kInt8);
}

// acc0 and acc1 are the sums of columns n..n+7 and n+8..n+15 of `out`; the first `cols` are
// written.
[[gnu::always_inline]] inline void StoreOutputAvx2(const QOutput& out, size_t n, __m256i acc0,
                                                   __m256i acc1, size_t cols, void* y) {
  const auto* bias = reinterpret_cast<const __m256i*>(out.bias.data() + n);
  acc0 = _mm256_add_epi32(acc0, _mm256_loadu_si256(bias));
  if (cols > 8) acc1 = _mm256_add_epi32(acc1, _mm256_loadu_si256(bias + 1));
  if (out.ElementSize() == 1) {
    const __m256i c0 = RoundedAvx2(out, ScaledAvx2(out, n, acc0));
    const __m256i c1 = cols > 8 ? RoundedAvx2(out, ScaledAvx2(out, n + 8, acc1)) : c0;
    const __m128i bytes = BytesAvx2(c0, c1);
    if (cols >= 16) {
      _mm_storeu_si128(static_cast<__m128i*>(y), bytes);
    } else if (cols == 8) {
      _mm_storel_epi64(static_cast<__m128i*>(y), bytes);
    } else {
      alignas(16) char tail[16];
      _mm_store_si128(reinterpret_cast<__m128i*>(tail), bytes);
      std::memcpy(y, tail, cols);
    }
    return;
  }
  alignas(32) int32_t words[16];
  if (out.kind == QOutput::Kind::kFloat) {
    acc0 = _mm256_castps_si256(ScaledAvx2(out, n, acc0));
    if (cols > 8) acc1 = _mm256_castps_si256(ScaledAvx2(out, n + 8, acc1));
  }
  auto* to = static_cast<__m256i*>(cols >= 16 ? y : words);
  _mm256_storeu_si256(to, acc0);
  _mm256_storeu_si256(to + 1, acc1);
  if (cols < 16) std::memcpy(y, words, cols * 4);
}

}  // namespace mezzo
