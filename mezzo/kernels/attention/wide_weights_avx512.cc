// Compiled for AVX-512 (CMakeLists.txt).
#include "mezzo/kernels/attention/wide_weights_lines.h"

namespace mezzo {

void WideWeightsAvx512(const WideScores& s) { WideWeightLines<vmath::F16>::Run(s); }

}  // namespace mezzo
