#include <algorithm>
#include <cmath>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/qgemm/qgemm_avx2.h"
#include "mezzo/kernels/qpool/qpool.h"

namespace mezzo {

void AddCodesAvx2(QCodes x, size_t n, int32_t* sums) {
  const auto* p = static_cast<const uint8_t*>(x.data);
  size_t c = 0;
  for (; c + 8 <= n; c += 8) {
    const __m128i raw = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p + c));
    const __m256i v = x.is_signed ? _mm256_cvtepi8_epi32(raw) : _mm256_cvtepu8_epi32(raw);
    auto* sum = reinterpret_cast<__m256i*>(sums + c);
    _mm256_storeu_si256(sum, _mm256_add_epi32(_mm256_loadu_si256(sum), v));
  }
  for (; c < n; ++c) sums[c] += x[c];
}

namespace {

// 32 * V channels of the largest codes from c on.
template <bool kSigned, int V>
void MaxOfTaps(const QTaps& taps, size_t c, uint8_t* y) {
  __m256i best[V];
  Unrolled<V>([&](auto v) MEZZO_INLINE { best[v] = _mm256_set1_epi8(kSigned ? -128 : 0); });
  for (const size_t tap : taps.offsets) {
    const auto* from = reinterpret_cast<const __m256i*>(taps.x + tap + c);
    Unrolled<V>([&](auto v) MEZZO_INLINE {
      const __m256i codes = _mm256_loadu_si256(from + v);
      best[v] = kSigned ? _mm256_max_epi8(best[v], codes) : _mm256_max_epu8(best[v], codes);
    });
  }
  Unrolled<V>([&](auto v) MEZZO_INLINE {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + c) + v, best[v]);
  });
}

// Returns how many channels are done.
template <bool kSigned>
size_t MaxOfTaps(const QTaps& taps, size_t n, uint8_t* y) {
  size_t c = 0;
  for (; c + 128 <= n; c += 128) MaxOfTaps<kSigned, 4>(taps, c, y);
  for (; c + 64 <= n; c += 64) MaxOfTaps<kSigned, 2>(taps, c, y);
  for (; c + 32 <= n; c += 32) MaxOfTaps<kSigned, 1>(taps, c, y);
  return c;
}

}  // namespace

void MaxOfTapsAvx2(const QTaps& taps, size_t n, uint8_t* y) {
  const bool is_signed = taps.is_signed;
  for (size_t c = is_signed ? MaxOfTaps<true>(taps, n, y) : MaxOfTaps<false>(taps, n, y); c < n;
       ++c) {
    int32_t best = is_signed ? -128 : 0;
    for (const size_t tap : taps.offsets) best = std::max(best, QCodes{taps.x + tap, is_signed}[c]);
    y[c] = static_cast<uint8_t>(best);
  }
}

void StoreAverageAvx2(const int32_t* sums, size_t n, int32_t zero_sum, float multiplier,
                      const QAverageParams& p, uint8_t* y) {
  const float lo = static_cast<float>(p.lo - p.y_zero), hi = static_cast<float>(p.hi - p.y_zero);
  const __m256 m = _mm256_set1_ps(multiplier), vhi = _mm256_set1_ps(hi);
  const __m256i zero = _mm256_set1_epi32(zero_sum);
  const auto eight = [&](size_t c) {
    const auto* sum = reinterpret_cast<const __m256i*>(sums + c);
    const __m256i centred = _mm256_sub_epi32(_mm256_loadu_si256(sum), zero);
    const __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(centred), m);
    return _mm256_cvtps_epi32(_mm256_min_ps(v, vhi));
  };
  size_t c = 0;
  for (; c + 32 <= n; c += 32)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + c),
                        PackedAvx2(eight(c), eight(c + 8), eight(c + 16), eight(c + 24), p.y_zero,
                                   p.lo, p.hi, p.lo < 0));
  for (; c < n; ++c) {
    const float v = std::clamp(static_cast<float>(sums[c] - zero_sum) * multiplier, lo, hi);
    y[c] = static_cast<uint8_t>(static_cast<int32_t>(std::nearbyint(v)) + p.y_zero);
  }
}

}  // namespace mezzo
