// Four-bit codes for a linear layer, each rounded so that it makes up for the errors of those
// before it: GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323), with the error taken
// against the value that hardware will multiply: Dual Precision Quantization
// (https://arxiv.org/abs/2505.14638).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "mezzo/algorithm/llm/hessian.h"
#include "mezzo/format/fp8.h"

namespace mezzo {

// Sixteen values, ascending: what a code stands for in units of its group's scale.
struct Codebook {
  std::string name;
  std::array<float, 16> values;

  float Largest() const { return std::max(-values[0], values[15]); }
};
extern const Codebook kInt4Codes;   // -8..7
extern const Codebook kNf4Codes;    // Dettmers et al. 2023, https://arxiv.org/abs/2305.14314
extern const Codebook kIq4NlCodes;  // llama.cpp's IQ4_NL

struct GroupScheme {
  Codebook codes = kInt4Codes;
  int64_t group = 64;            // inputs that share a scale
  bool zero_points = false;      // the codes of a group are shifted: scale * (code - zero)
  std::optional<Fp8Format> fp8;  // the values are rounded to it before they are multiplied
  bool reorder = true;           // columns by the size of their input, within groups: METHODS 4.2
  bool correct = true;           // error correction; else round to nearest
  bool search = true;            // scales by weighted squared error, else by the largest weight
  double damping = 0.01;
};

// weight[o, k] = outer * fp8(scale[o, g] * codes[code[o, k] - zero[o, g]]), g = k / group; without
// FP8 outer is 1 and nothing is rounded. Scales are bfloat16 values.
struct GroupCodes {
  int64_t outputs = 0, inputs = 0, group = 0;
  float outer = 1;
  std::vector<uint8_t> codes;  // (outputs, inputs)
  std::vector<float> scales;   // (outputs, groups)
  std::vector<uint8_t> zeros;  // (outputs, groups), or empty

  Tensor Dequantize(const GroupScheme& scheme) const;  // (outputs, inputs), float32
};

// For a weight (outputs, inputs); `group` must divide the inputs. Without error correction the
// Hessian only weighs the search. Throws UsageError for a weight that is not finite.
GroupCodes RoundGroups(const Tensor& weight, const Hessian& h, const GroupScheme& scheme,
                       const Threads& threads);

}  // namespace mezzo
