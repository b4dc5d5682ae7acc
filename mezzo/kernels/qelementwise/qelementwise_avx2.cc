#include "mezzo/kernels/qelementwise/qelementwise_avx2.h"

#include "mezzo/base/simd.h"

namespace mezzo {
namespace {

inline __m256i Load8(const uint8_t* p, bool is_signed) {
  return WidenedAvx2(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)), is_signed);
}

inline void Store32(uint8_t* y, __m256i codes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), codes);
}

// Codes i..i+7 of an operand less its zero point.
struct Operand {
  Operand(QCodes codes, size_t step, int32_t zero)
      : data(static_cast<const uint8_t*>(codes.data)),
        is_signed(codes.is_signed),
        one(step == 0),
        zeros(_mm256_set1_epi32(zero)),
        same(step == 0 ? _mm256_set1_epi32(codes[0] - zero) : _mm256_setzero_si256()) {}
  __m256i operator()(size_t i) const {
    return one ? same : _mm256_sub_epi32(Load8(data + i, is_signed), zeros);
  }
  const uint8_t* data;
  bool is_signed, one;
  __m256i zeros, same;
};

template <bool kMultiply>
size_t Run(const QBinaryArgs& s, const QBinaryParams& p) {
  const Operand a(s.a, s.a_step, p.a_zero), b(s.b, s.b_step, p.b_zero);
  const RoundedSumAvx2 sum(p);
  const auto eight = [&](size_t i) {
    if (!kMultiply) return sum(a(i), b(i));
    const __m256 v = _mm256_mul_ps(sum.ra, _mm256_cvtepi32_ps(_mm256_mullo_epi32(a(i), b(i))));
    return _mm256_cvtps_epi32(_mm256_min_ps(v, sum.hi));
  };
  size_t i = 0;
  for (; i + 32 <= s.n; i += 32)
    Store32(static_cast<uint8_t*>(s.y) + i,
            PackedAvx2(eight(i), eight(i + 8), eight(i + 16), eight(i + 24), p.y_zero, p.lo, p.hi,
                       p.lo < 0));
  return i;
}

// The node over bits [4, bit) of the codes: a choice between tables of 16 entries, `low` holds bits
// 0 to 3 and masks[b] bit b in each byte's sign.
template <int kBit>
__m256i LookUp(const uint8_t* table, __m256i low, const __m256i (&masks)[8]) {
  if constexpr (kBit == 4) {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(entries), low);
  } else {
    return _mm256_blendv_epi8(LookUp<kBit - 1>(table, low, masks),
                              LookUp<kBit - 1>(table + (1 << (kBit - 1)), low, masks),
                              masks[kBit - 1]);
  }
}

}  // namespace

size_t QBinaryAvx2(const QBinaryArgs& args, const QBinaryParams& params) {
  return params.multiply ? Run<true>(args, params) : Run<false>(args, params);
}

size_t QLutAvx2(const uint8_t* x, const QTable& table, uint8_t* y, size_t n) {
  size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    __m256i masks[8];
    masks[7] = codes;
    for (int b = 7; b > 4; --b) masks[b - 1] = _mm256_add_epi8(masks[b], masks[b]);
    Store32(y + i, LookUp<8>(table.data(), _mm256_and_si256(codes, _mm256_set1_epi8(15)), masks));
  }
  return i;
}

size_t QuantizeAvx2(const float* x, const QScale& s, uint8_t* y, size_t n) {
  const __m256 scale = _mm256_set1_ps(s.scale);
  const __m256 hi = _mm256_set1_ps(static_cast<float>(s.hi() - s.zero));
  const auto eight = [&](size_t i) {
    const __m256 v = _mm256_div_ps(_mm256_loadu_ps(x + i), scale);
    const __m256 number = _mm256_and_ps(v, _mm256_cmp_ps(v, v, _CMP_ORD_Q));  // NaN: 0
    return _mm256_cvtps_epi32(_mm256_min_ps(number, hi));
  };
  size_t i = 0;
  for (; i + 32 <= n; i += 32)
    Store32(y + i, PackedAvx2(eight(i), eight(i + 8), eight(i + 16), eight(i + 24), s.zero, s.lo(),
                              s.hi(), s.is_signed));
  return i;
}

size_t DequantizeAvx2(const uint8_t* x, const QScale& s, float* y, size_t n) {
  const __m256 scale = _mm256_set1_ps(s.scale);
  const __m256i zero = _mm256_set1_epi32(s.zero);
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    const __m256i apart = _mm256_sub_epi32(Load8(x + i, s.is_signed), zero);
    _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_cvtepi32_ps(apart), scale));
  }
  return i;
}

}  // namespace mezzo
