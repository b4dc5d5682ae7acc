#include <cfloat>

#include "mezzo/base/cpu.h"
#include "mezzo/base/simd.h"
#include "mezzo/kernels/group_gemm/group_lines.h"
#include "mezzo/kernels/vmath/vmath.h"

namespace mezzo {

using vmath::I8;

void GroupRoundAvx2(const float* x, int64_t groups, int64_t n, const RoundedToken& to) {
  for (int64_t g = 0; g < groups; ++g, x += n) {
    const float scale = to.scales[g * to.step];
    int8_t* const codes = to.codes + g * to.codes_step;
    I8 sum{};
    for (int64_t i = 0; i < n; i += 8) {
      const auto c = (I8)_mm256_cvtps_epi32(vmath::Load(x + i) / scale);
      sum += c;
      const __m128i half = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)c),
                                           _mm256_extracti128_si256((__m256i)c, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), _mm_packs_epi16(half, half));
    }
    int32_t total = 0;
    for (int i = 0; i < 8; ++i) total += sum[i];
    to.sums[g * to.step] = total;
  }
}

void GroupActivations::RoundToken(const float* x, int64_t token, int64_t scale_group) {
  GroupRound& round =
      CurrentIsa() == Isa::kAvx512Vnni ? MEZZO_X86(GroupRoundAvx512) : GroupRoundAvx2;
  // All scales, then all codes: what one group waits for, the next does not.
  float* to = scales_.data() + token;
  for (int64_t begin = 0; begin < depth_; begin += scale_group) {
    const float largest = vmath::LargestMagnitude(x + begin, scale_group) / 127;
    for (int64_t k = 0; k < scale_group; k += group_, to += tokens_)
      *to = largest < FLT_MIN ? FLT_MIN : largest;  // NaN stays
  }
  round(x, groups_, group_,
        {scales_.data() + token, codes_ + token * group_, sums_.data() + token, tokens_,
         tokens_ * group_});
}

void GroupActivations::Round(const float* x, int64_t x_stride, int64_t tokens, int64_t depth,
                             int64_t scale_group, int64_t group, const Threads& threads) {
  if (scale_group == 0) scale_group = depth;
  Require(group > 0 && group % 8 == 0 && scale_group % group == 0 && depth % scale_group == 0,
          "activations of ", depth, " columns with a scale for ", scale_group,
          " in products of groups of ", group);
  tokens_ = tokens, depth_ = depth, group_ = group, groups_ = depth / group;
  storage_ = Tensor(DType::kInt8, {tokens * depth});
  codes_ = storage_.data<int8_t>();
  scales_.resize(tokens * groups_);
  sums_.resize(tokens * groups_);
  threads.For(tokens, 1 + 8192 / depth, [&](size_t begin, size_t end) {
    for (auto t = static_cast<int64_t>(begin); t < static_cast<int64_t>(end); ++t)
      RoundToken(x + t * x_stride, t, scale_group);
  });
}

}  // namespace mezzo
