#include "mezzo/kernels/vmath/functions.h"

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/vmath/functions_lines.h"

namespace mezzo::vmath {

const FunctionLines kFunctionsAvx2 = Lines<F8>::kTable;

namespace {
const FunctionLines& Current() {
  return CurrentIsa() >= Isa::kAvx512Vnni ? MEZZO_X86(kFunctionsAvx512) : kFunctionsAvx2;
}
}  // namespace

void RunSteps(std::span<const Step> steps, std::span<const float* const> inputs, float* y,
              size_t n) {
  Current().steps(steps, inputs, y, n);
}

void SoftmaxRows(const float* x, float* y, size_t rows, size_t n, const ScoreSteps& before) {
  Current().softmax(x, y, rows, n, before);
}

void SiluTimes(const float* gate, const float* up, float* y, size_t n) {
  Current().silu_times(gate, up, y, n);
}

Moments MomentsOf(const float* x, size_t n) { return Current().moments(x, n); }

double SquaresOf(const float* x, size_t n) { return Current().squares(x, n); }

void Normalize(const float* x, float center, float factor, const float* scale, const float* bias,
               float* y, size_t n) {
  Current().normalize(x, center, factor, scale, bias, y, n);
}

}  // namespace mezzo::vmath
