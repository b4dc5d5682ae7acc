// What integer kernels share in AVX2: loops unrolled, products, and the output stage of
// StoreQOutputRef for many sums at once.
#pragma once

#include <cstring>
#include <utility>

#include "mezzo/base/simd.h"
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

// Four codes, repeated. Written out, since compilers that may reorder these products spill sums.
MEZZO_INLINE inline __m256i BroadcastAvx2(const uint8_t* x) {
#if defined(__x86_64__)
  __m256i four;
  asm("vpbroadcastd %[x], %[four]"
      : [four] "=x"(four)
      : [x] "m"(*reinterpret_cast<const int32_t(*)[1]>(x)));
  return four;
#else
  int32_t four;
  std::memcpy(&four, x, sizeof(four));
  return _mm256_set1_epi32(four);
#endif
}

// acc += the products of pairs of 16-bit numbers. Written out because tiles fill the register file,
// and compilers that may reorder the products spill sums.
MEZZO_INLINE inline void MultiplyAddAvx2(__m256i& acc, __m256i x, __m256i w) {
#if defined(__x86_64__)
  __m256i product;
  asm("vpmaddwd %[w], %[x], %[p]\n\tvpaddd %[p], %[acc], %[acc]"
      : [acc] "+x"(acc), [p] "=&x"(product)
      : [x] "x"(x), [w] "xm"(w));
#else
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
#endif
}

// Codes of four vectors of rounded values less their zero point, in order. Values above what 32
// bits hold must have been cut off; those below the conversion has made the least int32, which
// saturates to the same.
MEZZO_INLINE inline __m256i PackedAvx2(__m256i a, __m256i b, __m256i c, __m256i d, int32_t zero,
                                       int32_t lo, int32_t hi, bool is_signed) {
  const __m256i zeros = _mm256_set1_epi16(static_cast<int16_t>(zero));
  const __m256i least = _mm256_set1_epi8(static_cast<char>(lo));
  const __m256i most = _mm256_set1_epi8(static_cast<char>(hi));
  const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zeros);
  const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zeros);
  const __m256i codes =
      is_signed ? _mm256_min_epi8(_mm256_max_epi8(_mm256_packs_epi16(ab, cd), least), most)
                : _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(ab, cd), least), most);
  return _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// The output stage behind the biases. Made once for many tiles, so that what it holds is not read
// again after every store. kUsual: QOutput::bounded, known when compiled.
template <bool kUsual = false>
class OutputAvx2 {
 public:
  explicit OutputAvx2(const QOutput& out)
      : scale_(out.scale.data()),
        offset_(out.has_offset ? out.offset.data() : nullptr),
        kind_(out.kind),
        zero_(out.zero_point),
        lo_(out.lo),
        hi_(out.hi),
        above_(_mm256_set1_ps(static_cast<float>(out.hi - out.zero_point))) {}

  bool codes() const {
    return kUsual || kind_ == QOutput::Kind::kUInt8 || kind_ == QOutput::Kind::kInt8;
  }

  // What a float or int32 output stores for sums of columns n..n+7.
  MEZZO_INLINE __m256i Words(size_t n, __m256i sum) const {
    return kind_ == QOutput::Kind::kInt32 ? sum : _mm256_castps_si256(Scaled(n, sum));
  }

  // Codes of four vectors of sums, of columns na..na+7 and so on, in order.
  MEZZO_INLINE __m256i Codes(size_t na, __m256i a, size_t nb, __m256i b, size_t nc, __m256i c,
                             size_t nd, __m256i d) const {
    return PackedAvx2(Rounded(na, a), Rounded(nb, b), Rounded(nc, c), Rounded(nd, d), zero_, lo_,
                      hi_, !kUsual && kind_ == QOutput::Kind::kInt8);
  }

 private:
  MEZZO_INLINE __m256 Scaled(size_t n, __m256i sum) const {
    const __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale_ + n));
    return !kUsual && offset_ ? _mm256_add_ps(v, _mm256_loadu_ps(offset_ + n)) : v;
  }
  MEZZO_INLINE __m256i Rounded(size_t n, __m256i sum) const {
    const __m256 v = Scaled(n, sum);
    return _mm256_cvtps_epi32(kUsual ? v : _mm256_min_ps(v, above_));
  }

  const float *scale_, *offset_;
  QOutput::Kind kind_;
  int32_t zero_, lo_, hi_;
  __m256 above_;
};

}  // namespace mezzo
