// The loops that machine_peak.cc times, and how they are written.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/base/cpu.h"

namespace mezzo {

// Independent sums, more than an addition's latency takes, all in registers.
inline constexpr int kPeakSums = 10;

// The compiler must take the value for a new one: what does not change would be computed only once,
// and what nobody reads not at all.
template <class V>
[[gnu::always_inline]] inline void Renew(V& v) {
#if defined(__x86_64__)
  asm volatile("" : "+x"(v));
#else
  asm volatile("" : "+w"(v));
#endif
}

// step(sum) for each of kPeakSums sums, so many times.
template <class V, class Step>
[[gnu::always_inline]] inline void Repeat(int64_t times, V zero, const Step& step) {
  V sums[kPeakSums];
#pragma GCC unroll 10
  for (V& sum : sums) sum = zero;
  for (int64_t i = 0; i < times; ++i) {
#pragma GCC unroll 10
    for (V& sum : sums) step(sum);
  }
#pragma GCC unroll 10
  for (V& sum : sums) Renew(sum);
}

// What bounds the arithmetic of an instruction set: loops of so many multiply-adds a step.
struct PeakLoop {
  void (*work)(int64_t times);
  int macs;
  bool integers;
};
std::vector<PeakLoop> PeakLoops(Isa isa);

void DotsAvx512(int64_t times);    // vpdpbusd: 64 multiply-adds a step
void FloatsAvx512(int64_t times);  // 16 a step

}  // namespace mezzo
