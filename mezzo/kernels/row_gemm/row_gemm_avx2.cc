#include <algorithm>
#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/row_gemm/row_lines.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = PackedRows::kRows, kGroup = PackedRows::kGroup;

inline __m256i TwoCodes(const int16_t* x) {
  int32_t two;
  std::memcpy(&two, x, sizeof(two));
  return _mm256_set1_epi32(two);
}

// One panel by T tokens.
template <int T>
void TileAvx2(const WideCodes& x, const PackedRows& w, int64_t panel, int64_t token, float* y,
              int64_t y_stride) {
  const int64_t groups = w.groups();
  const auto* at = reinterpret_cast<const __m128i*>(w.Panel(panel));
  const int16_t* codes[T];
  __m256 s[T][2];
#pragma GCC unroll 4
  for (int t = 0; t < T; ++t) {
    codes[t] = x.Codes(token + t);
    s[t][0] = s[t][1] = _mm256_setzero_ps();
  }
  for (int64_t g = 0; g < groups; ++g) {
    __m256i dot[T][2];
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t) dot[t][0] = dot[t][1] = _mm256_setzero_si256();
    for (int64_t k = g * kGroup; k < (g + 1) * kGroup; k += 2, at += 2) {
      _mm_prefetch(reinterpret_cast<const char*>(at) + kFetchAhead, _MM_HINT_T0);
      const __m256i u[2] = {_mm256_cvtepi8_epi16(_mm_load_si128(at)),
                            _mm256_cvtepi8_epi16(_mm_load_si128(at + 1))};
#pragma GCC unroll 4
      for (int t = 0; t < T; ++t) {
        const __m256i v = TwoCodes(codes[t] + k);
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h)
          dot[t][h] = _mm256_add_epi32(dot[t][h], _mm256_madd_epi16(u[h], v));
      }
    }
#pragma GCC unroll 4
    for (int t = 0; t < T; ++t)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h)
        s[t][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[t][h]),
                                  _mm256_set1_ps(x.Scales(token + t)[g]), s[t][h]);
  }
  const float* scales = w.scales() + panel * kRows;
  const int64_t rows = std::min(kRows, w.rows() - panel * kRows);
  for (int t = 0; t < T; ++t) {
    float values[kRows];
    _mm256_storeu_ps(values, _mm256_mul_ps(_mm256_loadu_ps(scales), s[t][0]));
    _mm256_storeu_ps(values + 8, _mm256_mul_ps(_mm256_loadu_ps(scales + 8), s[t][1]));
    std::copy_n(values, rows, y + (token + t) * y_stride + panel * kRows);
  }
}

}  // namespace

void RowRunAvx2(const WideCodes& x, const PackedRows& w, int64_t begin, int64_t end, float* y,
                int64_t y_stride) {
  for (int64_t p = begin; p < end; ++p) {
    int64_t t = 0;
    for (; t + 4 <= x.tokens; t += 4) TileAvx2<4>(x, w, p, t, y, y_stride);
    for (; t < x.tokens; ++t) TileAvx2<1>(x, w, p, t, y, y_stride);
  }
}

}  // namespace mezzo
