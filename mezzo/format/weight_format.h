// What a layer's weights are stored as: codes of 2 to 6 bits that stand for int8 numbers, or int8.
//
//   weight = scale[o] * w8,  w8 = level[code], or in groups level[step of the group][code]
//
// Levels are whole numbers of at most 64, so that the integers that run are the same for every
// format, and no two neighbours pass the limit of weights.h. In groups of consecutive inputs a
// step of 1 to 16 says how large a group's weights are beside the channel's largest: two-level
// scales, as in VS-Quant (Dai et al. 2021, https://arxiv.org/abs/2102.04503), but each level is
// rounded from its real value, round(64 * level * step / 16), which keeps small groups' levels
// where they belong; whole levels times whole multipliers cost 0.4 dB.
//
// "int": levels at equal distances. "nf": finer near zero, sinh(a x) / sinh(a) for x at equal
// distances from -1 to 1, with `a` chosen by the error on real layers. With as many bits it has
// about 1.5 dB less error than "int"; at 4 bits it does as well as NF4 (Dettmers et al. 2023,
// https://arxiv.org/abs/2305.14314), at other widths better than quantiles. No level is zero.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

struct WeightFormat {
  std::string_view name;  // "int8", "int4", "nf4", ...
  int bits = 8;
  float bend = 0;  // a; 0 for levels at equal distances

  bool narrow() const { return bits < 8; }
};

constexpr int kSteps = 16;         // of groups: 1 to 16
constexpr int kLargestLevel = 64;  // of all but int8

std::span<const WeightFormat> AllWeightFormats();  // "int8" first
// Null for other names.
const WeightFormat* FindWeightFormat(std::string_view name);
std::string WeightFormatNames();  // for messages: "int8, int6, ..."

// The levels of a narrow format by code, ascending: without groups, and in a group of a step.
std::vector<int8_t> Levels(const WeightFormat& format);
std::vector<int8_t> Levels(const WeightFormat& format, int step);

// The nearest of some ascending levels.
class NearestLevel {
 public:
  explicit NearestLevel(const std::vector<int8_t>& levels);

  // `x` in units of the levels, not NaN; a tie goes up.
  int8_t operator()(float x) const {
    const float at = x < -kLargestLevel  ? 0
                     : x > kLargestLevel ? 4 * kLargestLevel
                                         : 2 * x + 2 * kLargestLevel;
    return nearest_[static_cast<int>(at)];
  }

 private:
  // By floor(2 x): where halves lie is what decides between whole levels.
  int8_t nearest_[4 * kLargestLevel + 1];
};

}  // namespace mezzo
