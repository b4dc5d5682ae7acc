// Vectors of 256 bits under the names of x86: its own header there; elsewhere SIMDe, which makes
// them of what the processor has (on AArch64, NEON). Results are those of x86, bit for bit, but for
// the sign of a NaN that arithmetic makes.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#else
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx2.h>
#include <simde/x86/fma.h>

#define _MM_FROUND_NO_EXC SIMDE_MM_FROUND_NO_EXC

namespace mezzo {

// As x86: NaN and what exceeds 32 bits become the least int32, which SIMDe does not promise.
inline __m256i ConvertedToInts(__m256 x) {
  const auto half = [](__m128 v) {
    return (__m128i)vbslq_s32(vcltq_f32(v, vdupq_n_f32(0x1p31f)), vcvtnq_s32_f32(v),
                              vdupq_n_s32(INT32_MIN));
  };
  return _mm256_set_m128i(half(_mm256_extractf128_ps(x, 1)), half(_mm256_castps256_ps128(x)));
}
#undef _mm256_cvtps_epi32
#define _mm256_cvtps_epi32(x) ::mezzo::ConvertedToInts(x)

}  // namespace mezzo
#endif
