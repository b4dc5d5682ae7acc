// Functions of many floats, by the formulas of vmath.h, in the widest vectors that the processor
// has: the same bits with all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mezzo::vmath {

// One operation of a function of some inputs. Operands: 0 is input 0, kInput + i input i, i > 0 the
// result of step i - 1, kConstant the step's own constant. Those of one operand leave b alone.
struct Step {
  // kMax: what is less than b becomes b; kMin: what is greater. NaN stays.
  enum class Kind : uint8_t {
    kAdd,
    kSub,
    kMul,
    kDiv,
    kErf,
    kExp,
    kSigmoid,
    kTanh,
    kSqrt,
    kNeg,
    kMax,
    kMin
  };
  static constexpr uint8_t kConstant = 255, kInput = 128;

  Kind kind;
  uint8_t a = 0, b = 0;
  float constant = 0;

  bool IsUnary() const { return Kind::kErf <= kind && kind <= Kind::kNeg; }
};
inline constexpr size_t kMaxSteps = 16, kMaxInputs = 8;

// y[i] = the last step's result for inputs[..][i]; 1..kMaxSteps steps, 1..kMaxInputs inputs. y may
// be one of the inputs.
void RunSteps(std::span<const Step> steps, std::span<const float* const> inputs, float* y,
              size_t n);
inline void RunSteps(std::span<const Step> steps, const float* x, float* y, size_t n) {
  RunSteps(steps, {&x, 1}, y, n);
}

// What comes before Softmax: a kMul or kDiv of each score by the step's constant, then the addition
// of a mask's row of n numbers for each row of scores. Null: neither.
struct ScoreSteps {
  const Step* scaling = nullptr;
  const float* const* masks = nullptr;
};

// Rows of n scores to probabilities; y may be x. -infinity behind the last score changes nothing.
void SoftmaxRows(const float* x, float* y, size_t rows, size_t n, const ScoreSteps& before = {});
inline void SoftmaxRow(const float* x, float* y, size_t n) { SoftmaxRows(x, y, 1, n); }

// y = gate * sigmoid(gate) * up; y may be gate or up.
void SiluTimes(const float* gate, const float* up, float* y, size_t n);

// Mean and biased variance of n numbers, and the sum of their squares, in double, in the order of
// vmath.h's SumOf; NaN for none.
struct Moments {
  double mean, variance;
};
Moments MomentsOf(const float* x, size_t n);
double SquaresOf(const float* x, size_t n);

// y = (x - center) * factor * scale + bias; scale and bias may be null, y may be x.
void Normalize(const float* x, float center, float factor, const float* scale, const float* bias,
               float* y, size_t n);

// What an instruction set brings.
struct FunctionLines {
  void (*steps)(std::span<const Step> steps, std::span<const float* const> inputs, float* y,
                size_t n);
  void (*softmax)(const float* x, float* y, size_t rows, size_t n, const ScoreSteps& before);
  void (*silu_times)(const float* gate, const float* up, float* y, size_t n);
  Moments (*moments)(const float* x, size_t n);
  double (*squares)(const float* x, size_t n);
  void (*normalize)(const float* x, float center, float factor, const float* scale,
                    const float* bias, float* y, size_t n);
};
extern const FunctionLines kFunctionsAvx2, kFunctionsAvx512;

}  // namespace mezzo::vmath
