// Four-bit codes: what each of the sixteen stands for, in units of a scale.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

namespace mezzo {

struct Codebook {
  std::string_view name;
  std::array<float, 16> values;  // ascending

  float Largest() const { return std::max(-values[0], values[15]); }
};

std::span<const Codebook> AllCodebooks();
// int4: -8..7. nf4: the normal distribution's quantiles, Dettmers et al. 2023,
// https://arxiv.org/abs/2305.14314. nf4i: the same in 32nds, whole, for products of integers.
// iq4nl: llama.cpp's IQ4_NL. Null for other names.
const Codebook* FindCodebook(std::string_view name);
std::string CodebookNames();  // for messages: "int4, nf4, ..."

}  // namespace mezzo
