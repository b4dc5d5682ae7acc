#include <arm_neon.h>

#include "mezzo/kernels/sdot.h"
#include "mezzo/report/machine_peak_loops.h"

namespace mezzo {
namespace {

// 8 multiply-adds a step, in pairs.
void Pairs(int64_t times) {
  int8x8_t x = vdup_n_s8(3);
  const int8x8_t w = vdup_n_s8(5);
  Repeat(times, vdupq_n_s32(0), [&](int32x4_t& sum) {
    Renew(x);
    sum = vpadalq_s16(sum, vmull_s8(x, w));
  });
}

// 16 by one instruction.
void Dots(int64_t times) {
  const int8x16_t x = vdupq_n_s8(3), w = vdupq_n_s8(5);
  Repeat(times, vdupq_n_s32(0), [&](int32x4_t& sum) { Sdot(sum, x, w); });
}

// 4 a step.
void Floats(int64_t times) {
  const float32x4_t x = vdupq_n_f32(1e-3f), w = vdupq_n_f32(1e-3f);
  Repeat(times, vdupq_n_f32(0), [&](float32x4_t& sum) { sum = vfmaq_f32(sum, x, w); });
}

}  // namespace

std::vector<PeakLoop> PeakLoops(Isa isa) {
  std::vector<PeakLoop> loops{{Pairs, 8, true}, {Floats, 4, false}};
  if (isa >= Isa::kNeonDot) loops.push_back({Dots, 16, true});
  return loops;
}

}  // namespace mezzo
