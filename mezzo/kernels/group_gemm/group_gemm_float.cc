// The float form: a panel of weights at a time becomes a panel of sgemm.h, then its product.

#include <algorithm>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/group_gemm/group_lines.h"
#include "mezzo/kernels/vmath/vector.h"

namespace mezzo {
namespace {

using vmath::F8;
using vmath::I8;

constexpr int64_t kRows = PackedGroups::kRows;

// RoundToFp8 of format/fp8.h: adding a number whose last place is the step rounds to it.
F8 RoundVector(Fp8Format f, F8 x) {
  const F8 least = vmath::Splat(std::bit_cast<float>((f.least_exponent + 127) << 23));
  const F8 magnitude = vmath::Min(vmath::Abs(x), vmath::Splat(f.max));
  const I8 exponent = (I8)vmath::Max(magnitude, least) & 0x7f800000;
  const F8 shift = (F8)(exponent + (20 << 23));
  return vmath::CopySign(magnitude + shift - shift, x);
}

// Decodes groups of a panel: value = outer * GroupFormat::Value.
class Decoder {
 public:
  explicit Decoder(const PackedGroups& w) : w_(w), format_(w.format()) {
    for (int i = 0; i < 16; ++i)
      values_[i / 8][i % 8] =
          format_.zero_points ? static_cast<float>(i) : format_.codes->values[i];
  }

  // Row k of the result is the 16 weights of a column.
  void Decode(int64_t panel, int64_t g, float* to) const {
    const uint8_t* from = w_.Codes(panel, g);
    for (int64_t half = 0; half < 2; ++half) {
      const F8 scale = BFloat16s(from + w_.scales_at() + half * 16);
      F8 zero{};
      if (format_.zero_points) zero = Widened(from + w_.zeros_at() + half * 8);
      for (int64_t k = 0; k < w_.group(); ++k) {
        const uint8_t* codes = from + k / 8 * 64 + half * 32;
        const int shift = static_cast<int>(k % 4 * 8 + (k % 8 < 4 ? 0 : 4));
        const I8 v = (I8)_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
        vmath::Store(to + k * kRows + half * 8, Value(v >> shift & 15, scale, zero));
      }
    }
  }

 private:
  static F8 Widened(const uint8_t* bytes) {
    const __m128i v = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes));
    return __builtin_convertvector((I8)_mm256_cvtepu8_epi32(v), F8);
  }
  static F8 BFloat16s(const uint8_t* bytes) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes));
    return (F8)_mm256_slli_epi32(_mm256_cvtepu16_epi32(v), 16);
  }
  F8 Value(I8 code, F8 scale, F8 zero) const {
    const F8 low = _mm256_permutevar8x32_ps(values_[0], (__m256i)code);
    const F8 high = _mm256_permutevar8x32_ps(values_[1], (__m256i)code);
    F8 v = code > 7 ? high : low;
    if (format_.zero_points) v -= zero;
    v *= scale;
    if (format_.fp8) v = RoundVector(*format_.fp8, v);
    return v * w_.outer();
  }

  const PackedGroups& w_;
  const GroupFormat& format_;
  F8 values_[2];
};

}  // namespace

void GroupGemmFloat(const float* x, int64_t x_stride, int64_t tokens,
                    std::span<const GroupProduct> products, const Threads& threads) {
  static_assert(kRows == PackedB::kWidth);
  std::vector<const float*> rows(tokens);
  for (int64_t t = 0; t < tokens; ++t) rows[t] = x + t * x_stride;
  for (const GroupProduct& product : products) {
    const PackedGroups& w = *product.w;
    const Decoder decoder(w);
    const GemmRows a{rows.data(), 1, w.depth()};
    threads.For(w.panels(), 1, [&](size_t begin, size_t end) {
      Tensor b(DType::kFloat32, {w.depth() * kRows});
      for (auto p = static_cast<int64_t>(begin); p < static_cast<int64_t>(end); ++p) {
        for (int64_t g = 0; g < w.groups(); ++g)
          decoder.Decode(p, g, b.data<float>() + g * w.group() * kRows);
        const int64_t first = p * kRows, n = std::min(kRows, w.rows() - first);
        SgemmBlock(a, tokens, PackedB::View(b.data<float>(), w.depth(), n, 0), 0, 1,
                   product.y + first, product.y_stride,
                   {product.bias ? product.bias + first : nullptr, 0});
        AddPath(product, p, p + 1, 0, tokens);
      }
    });
  }
}

}  // namespace mezzo
