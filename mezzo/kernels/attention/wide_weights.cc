#include "mezzo/kernels/attention/wide_weights.h"

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/attention/wide_weights_lines.h"

namespace mezzo {

void WideWeightsAvx2(const WideScores& s) { WideWeightLines<vmath::F8>::Run(s); }

void WideWeights(const WideScores& s) {
  if (CurrentIsa() == Isa::kAvx512Vnni) return MEZZO_X86(WideWeightsAvx512)(s);
  WideWeightsAvx2(s);
}

}  // namespace mezzo
