#include "mezzo/report/machine_peak.h"

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/vmath/vector.h"
#include "mezzo/report/machine_peak_loops.h"
#include "mezzo/report/measure.h"

namespace mezzo {
namespace {

// 32 multiply-adds a step: a vector of codes by one of weights, in pairs, then fours, then added.
void Fours(int64_t times) {
  __m256i x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  Repeat(times, _mm256_setzero_si256(), [&](__m256i& sum) {
    Renew(x);
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, w), ones));
  });
}

// 64 a step: two such products are added while they are pairs.
void Eights(int64_t times) {
  __m256i x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5), v = _mm256_set1_epi8(7);
  const __m256i ones = _mm256_set1_epi16(1);
  Repeat(times, _mm256_setzero_si256(), [&](__m256i& sum) {
    Renew(x);
    const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(x, w), _mm256_maddubs_epi16(x, v));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
  });
}

// 32 a step by one instruction, written out since g++ 12 and clang 14 compile it for AVX-512 only.
void DotsAvxVnni(int64_t times) {
  const __m256i x = _mm256_set1_epi8(3), w = _mm256_set1_epi8(5);
  Repeat(times, _mm256_setzero_si256(), [&](__m256i& sum) {
    asm volatile("%{vex%} vpdpbusd %[w], %[x], %[sum]" : [sum] "+x"(sum) : [x] "x"(x), [w] "x"(w));
  });
}

// 8 a step.
void Floats(int64_t times) {
  __m256 x = _mm256_set1_ps(1e-3f), w = _mm256_set1_ps(1e-3f);
  Repeat(times, _mm256_setzero_ps(), [&](__m256& sum) { sum = _mm256_fmadd_ps(x, w, sum); });
}

// Multiply-adds a second of all threads, each working for some milliseconds.
double MacRate(const Threads& threads, void (*work)(int64_t times), int macs_per_step) {
  constexpr int64_t kMacs = 1 << 28;  // of each
  const int64_t times = kMacs / (macs_per_step * kPeakSums);
  const Stopwatch watch;
  threads.Each(threads.count(), [&](size_t, size_t) { work(times); });
  return static_cast<double>(times * macs_per_step * kPeakSums) *
         static_cast<double>(threads.count()) / watch.Seconds();
}

}  // namespace

double ReadBandwidth(const Threads& threads) {
  constexpr int64_t kBytes = int64_t{256} << 20;
  const Tensor memory = Tensor::ForWeights(DType::kFloat32, {kBytes / 4});
  const auto parts = static_cast<int64_t>(threads.count());
  std::vector<float> sums(parts);
  double best = 0;
  for (int pass = 0; pass < 8; ++pass) {
    const Stopwatch watch;
    threads.Each(parts, [&](size_t i, size_t) {
      const int64_t share = memory.numel() / parts;
      const float* from = memory.data<float>() + static_cast<int64_t>(i) * share;
      vmath::I8 sum[4] = {};
      for (int64_t k = 0; k + 32 <= share; k += 32)
        for (int l = 0; l < 4; ++l) sum[l] += (vmath::I8)vmath::Load(from + k + 8 * l);
      sums[i] += static_cast<float>((sum[0] + sum[1] + sum[2] + sum[3])[0]);
    });
    best = std::max(best, static_cast<double>(kBytes) / watch.Seconds());
  }
  Require(sums[0] == 0, "zeros summed to ", sums[0]);  // and nobody may leave the loop out
  return best;
}

MachinePeak MeasurePeak(const Threads& threads) {
  MachinePeak peak{0, 0, ReadBandwidth(threads), Caches().last};
  // In turns, so that what else the machine does for a moment does not hit one of them alone.
  for (int round = 0; round < 12; ++round) {
    const auto integers = [&](void (*work)(int64_t), int macs) {
      peak.int8_macs = std::max(peak.int8_macs, MacRate(threads, work, macs));
    };
    integers(Fours, 32);
    integers(Eights, 64);
    if (CurrentIsa() == Isa::kAvxVnni) integers(DotsAvxVnni, 32);
    if (CurrentIsa() >= Isa::kAvx512Vnni) integers(DotsAvx512, 64);
    peak.float_macs = std::max(peak.float_macs, CurrentIsa() >= Isa::kAvx512Vnni
                                                    ? MacRate(threads, FloatsAvx512, 16)
                                                    : MacRate(threads, Floats, 8));
  }
  return peak;
}

double RooflineSeconds(const MachinePeak& peak, bool integer, double macs, double bytes) {
  const bool from_memory = bytes > static_cast<double>(peak.cache_bytes);
  if (macs <= 0 && !from_memory) return NAN;
  return std::max(macs / (integer ? peak.int8_macs : peak.float_macs),
                  from_memory ? bytes / peak.read_bytes : 0);
}

}  // namespace mezzo
