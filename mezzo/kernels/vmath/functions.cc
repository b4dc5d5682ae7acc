#include "mezzo/kernels/vmath/functions.h"

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/vmath/functions_lines.h"

namespace mezzo::vmath {

const FunctionLines kFunctionsAvx2 = Lines<F8>::kTable;

namespace {
const FunctionLines& Current() {
  return CurrentIsa() >= Isa::kAvx512Vnni ? kFunctionsAvx512 : kFunctionsAvx2;
}
}  // namespace

void RunSteps(std::span<const Step> steps, const float* x, float* y, size_t n) {
  Current().steps(steps.data(), steps.size(), x, y, n);
}

void SoftmaxRow(const float* x, float* y, size_t n) { Current().softmax(x, y, n); }

void SiluTimes(const float* gate, const float* up, float* y, size_t n) {
  Current().silu_times(gate, up, y, n);
}

}  // namespace mezzo::vmath
