#include "mezzo/kernels/row_gemm/row_gemm.h"

#include <immintrin.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/row_gemm/row_lines.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {
namespace {

constexpr int64_t kGroup = PackedRows::kGroup;

// Codes of n values; returns their scale.
float RoundTo(const float* x, int64_t n, int16_t* codes) {
  const float largest = vmath::LargestMagnitude(x, n) / 32767;
  const float scale = largest < FLT_MIN ? FLT_MIN : largest;  // NaN stays
  const auto round = [&](vmath::F8 v) {
    const __m256i c = _mm256_cvtps_epi32(v / scale);
    return _mm_packs_epi32(_mm256_castsi256_si128(c), _mm256_extracti128_si256(c, 1));
  };
  int64_t k = 0;
  for (; k + 8 <= n; k += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + k), round(vmath::Load(x + k)));
  const auto left = static_cast<size_t>(n - k);
  const __m128i last = round(vmath::LoadPart(x + k, left));
  std::memcpy(codes + k, &last, left * sizeof(int16_t));
  return scale;
}

}  // namespace

WideCodes::WideCodes(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w,
                     const Threads& threads)
    : tokens(tokens), groups(w.groups()), codes(tokens * groups * kGroup), scales(tokens * groups) {
  threads.For(tokens, 1 + 8192 / w.depth(), [&](size_t begin, size_t end) {
    for (auto t = static_cast<int64_t>(begin); t < static_cast<int64_t>(end); ++t)
      for (int64_t g = 0; g < groups; ++g)
        scales[t * groups + g] =
            RoundTo(x + t * x_stride + g * kGroup, std::min(kGroup, w.depth() - g * kGroup),
                    codes.data() + (t * groups + g) * kGroup);
  });
}

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
  const WideCodes codes(x, x_stride, tokens, w, threads);
  RowRun& run = CurrentIsa() == Isa::kAvx512Vnni ? RowRunAvx512Vnni : RowRunAvx2;
  threads.For(w.panels(), 16, [&](size_t begin, size_t end) {
    run(codes, w, static_cast<int64_t>(begin), static_cast<int64_t>(end), y, y_stride);
  });
}

void RowGemmRef(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w, float* y,
                int64_t y_stride) {
  const WideCodes codes(x, x_stride, tokens, w, {});
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
