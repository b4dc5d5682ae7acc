#include "mezzo/format/weight_format.h"

#include <cmath>

namespace mezzo {
namespace {

constexpr WeightFormat kFormats[] = {
    {"int8", 8},      {"int6", 6},      {"int5", 5},      {"int4", 4},
    {"int3", 3},      {"int2", 2},      {"nf6", 6, 1.9f}, {"nf5", 5, 1.9f},
    {"nf4", 4, 1.9f}, {"nf3", 3, 1.5f}, {"nf2", 2, 1.2f},
};

// The level of a code, -1 to 1. Of the uniform ones, those of 2 and 3 bits lie symmetrically and
// leave out zero, which a few levels cannot afford; from 4 bits on, two's complement does as well.
double RealLevel(const WeightFormat& f, int code) {
  const int count = 1 << f.bits;
  const double x = (2.0 * code + 1 - count) / (count - 1);
  if (f.bend > 0) return std::sinh(f.bend * x) / std::sinh(double{f.bend});
  return f.bits < 4 ? x : (code - count / 2) / (count / 2.0);
}

}  // namespace

std::span<const WeightFormat> AllWeightFormats() { return kFormats; }

const WeightFormat* FindWeightFormat(std::string_view name) {
  for (const WeightFormat& f : kFormats)
    if (f.name == name) return &f;
  return nullptr;
}

std::string WeightFormatNames() {
  std::string names;
  for (const WeightFormat& f : kFormats) names += (names.empty() ? "" : ", ") + std::string(f.name);
  return names;
}

std::vector<int8_t> Levels(const WeightFormat& f) {
  if (f.bend > 0) return Levels(f, kSteps);
  const int count = 1 << f.bits;
  std::vector<int8_t> levels;
  for (int code = 0; code < count; ++code)
    levels.push_back(static_cast<int8_t>(f.bits < 4 ? 2 * code + 1 - count : code - count / 2));
  return levels;
}

std::vector<int8_t> Levels(const WeightFormat& f, int step) {
  std::vector<int8_t> levels;
  for (int code = 0; code < 1 << f.bits; ++code)
    levels.push_back(
        static_cast<int8_t>(std::lround(kLargestLevel * RealLevel(f, code) * step / kSteps)));
  return levels;
}

NearestLevel::NearestLevel(const std::vector<int8_t>& levels) {
  for (int half = -2 * kLargestLevel; half <= 2 * kLargestLevel; ++half) {
    size_t i = 0;
    while (i + 1 < levels.size() && half >= levels[i] + levels[i + 1]) ++i;
    nearest_[half + 2 * kLargestLevel] = levels[i];
  }
}

}  // namespace mezzo
