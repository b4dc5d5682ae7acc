#include <immintrin.h>

#include "mezzo/report/machine_peak_loops.h"

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

}  // namespace

std::vector<PeakLoop> PeakLoops(Isa isa) {
  std::vector<PeakLoop> loops{{Fours, 32, true}, {Eights, 64, true}};
  if (isa == Isa::kAvxVnni) loops.push_back({DotsAvxVnni, 32, true});
  if (isa < Isa::kAvx512Vnni) {
    loops.push_back({Floats, 8, false});
  } else {
    loops.push_back({DotsAvx512, 64, true});
    loops.push_back({FloatsAvx512, 16, false});
  }
  return loops;
}

}  // namespace mezzo
