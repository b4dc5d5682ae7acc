// Compiled for AVX-512 (CMakeLists.txt).
#include <immintrin.h>

#include "mezzo/report/machine_peak_loops.h"

namespace mezzo {

void DotsAvx512(int64_t times) {
  const __m512i x = _mm512_set1_epi8(3), w = _mm512_set1_epi8(5);
  Repeat(times, _mm512_setzero_si512(), [&](__m512i& sum) {
    asm volatile("vpdpbusd %[w], %[x], %[sum]" : [sum] "+v"(sum) : [x] "v"(x), [w] "v"(w));
  });
}

void FloatsAvx512(int64_t times) {
  const __m512 x = _mm512_set1_ps(1e-3f), w = _mm512_set1_ps(1e-3f);
  Repeat(times, _mm512_setzero_ps(), [&](__m512& sum) { sum = _mm512_fmadd_ps(x, w, sum); });
}

}  // namespace mezzo
