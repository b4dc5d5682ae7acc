#include "mezzo/kernels/row_gemm/row_gemm.h"

#include <immintrin.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "mezzo/base/cpu.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = PackedRows::kRows, kGroup = PackedRows::kGroup;

// Activations as codes, columns padded with zeros to whole groups.
struct WideCodes {
  int64_t depth, groups;
  std::vector<int16_t> codes;  // (tokens, groups * kGroup)
  std::vector<float> scales;   // (tokens, groups)

  WideCodes(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w)
      : depth(w.depth()),
        groups(w.groups()),
        codes(tokens * groups * kGroup),
        scales(tokens * groups) {
    for (int64_t t = 0; t < tokens; ++t)
      for (int64_t g = 0; g < groups; ++g) Round(x + t * x_stride, t, g);
  }
  const int16_t* Codes(int64_t t) const { return codes.data() + t * groups * kGroup; }
  const float* Scales(int64_t t) const { return scales.data() + t * groups; }

 private:
  void Round(const float* x, int64_t t, int64_t g) {
    const int64_t begin = g * kGroup, n = std::min(kGroup, depth - begin);
    float top = 0;
    for (int64_t k = begin; k < begin + n; ++k) top = std::max(top, std::fabs(x[k]));
    const float scale = std::max(top / 32767, FLT_MIN);
    scales[t * groups + g] = scale;
    for (int64_t k = begin; k < begin + n; ++k)
      codes[t * groups * kGroup + k] = static_cast<int16_t>(std::nearbyint(x[k] / scale));
  }
};

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
      _mm_prefetch(reinterpret_cast<const char*>(at) + 2048, _MM_HINT_T0);  // as in group_gemm
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

PackedRows::PackedRows(const RowCodes& w, const Threads& threads)
    : rows_(w.rows), depth_(w.cols), groups_((depth_ + kGroup - 1) / kGroup) {
  data_ = Tensor::ForWeights(DType::kInt8, {panels() * groups_ * kGroup * kRows});
  codes_ = data_.data<int8_t>();
  scales_ = w.scales;
  scales_.resize(panels() * kRows);
  threads.For(rows_, 1024, [&](size_t begin, size_t end) {
    for (auto r = static_cast<int64_t>(begin); r < static_cast<int64_t>(end); ++r) {
      auto* to = const_cast<int8_t*>(Panel(r / kRows)) + r % kRows * 2;
      for (int64_t c = 0; c < depth_; ++c) to[c / 2 * 2 * kRows + c % 2] = w.codes[r * depth_ + c];
    }
  });
}

void PackedRows::Row(int64_t row, float* to) const {
  for (int64_t c = 0; c < depth_; ++c) to[c] = scales_[row] * static_cast<float>(Code(row, c));
}

void RowGemm(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w, float* y,
             int64_t y_stride, const Threads& threads) {
  if (CurrentIsa() == Isa::kPlain) return RowGemmRef(x, x_stride, tokens, w, y, y_stride);
  const WideCodes codes(x, x_stride, tokens, w);
  threads.For(w.panels(), 16, [&](size_t begin, size_t end) {
    for (auto p = static_cast<int64_t>(begin); p < static_cast<int64_t>(end); ++p) {
      int64_t t = 0;
      for (; t + 4 <= tokens; t += 4) TileAvx2<4>(codes, w, p, t, y, y_stride);
      for (; t < tokens; ++t) TileAvx2<1>(codes, w, p, t, y, y_stride);
    }
  });
}

void RowGemmRef(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w, float* y,
                int64_t y_stride) {
  const WideCodes codes(x, x_stride, tokens, w);
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t r = 0; r < w.rows(); ++r) {
      float s = 0;
      for (int64_t g = 0; g < w.groups(); ++g) {
        int32_t dot = 0;
        for (int64_t k = g * kGroup; k < std::min((g + 1) * kGroup, w.depth()); ++k)
          dot += codes.Codes(t)[k] * w.Code(r, k);
        s = std::fma(static_cast<float>(dot), codes.Scales(t)[g], s);
      }
      y[t * y_stride + r] = w.scales()[r] * s;
    }
}

}  // namespace mezzo
