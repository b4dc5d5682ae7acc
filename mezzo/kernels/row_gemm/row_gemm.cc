#include "mezzo/kernels/row_gemm/row_gemm.h"

#include <algorithm>
#include <cmath>

#include "mezzo/base/cpu.h"
#include "mezzo/base/simd.h"
#include "mezzo/kernels/row_gemm/row_lines.h"
#include "mezzo/kernels/wide_codes.h"

namespace mezzo {
namespace {

constexpr int64_t kGroup = PackedRows::kGroup;

}  // namespace

WideCodes::WideCodes(const float* x, int64_t x_stride, int64_t tokens, const PackedRows& w,
                     const Threads& threads)
    : tokens(tokens), groups(w.groups()), codes(tokens * groups * kGroup), scales(tokens * groups) {
  threads.For(tokens, 1 + 8192 / w.depth(), [&](size_t begin, size_t end) {
    for (auto t = static_cast<int64_t>(begin); t < static_cast<int64_t>(end); ++t)
      for (int64_t g = 0; g < groups; ++g) {
        const float* from = x + t * x_stride + g * kGroup;
        const int64_t n = std::min(kGroup, w.depth() - g * kGroup);
        const float scale = scales[t * groups + g] = WideScale(from, n, 32767);
        RoundWide(from, n, scale, codes.data() + (t * groups + g) * kGroup);
      }
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
  RowRun& run = CurrentIsa() == Isa::kAvx512Vnni ? MEZZO_X86(RowRunAvx512Vnni) : RowRunAvx2;
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
