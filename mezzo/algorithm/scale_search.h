// The scales and the steps of groups that suit a row of weights in a narrow format, by weighted
// squared error.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/format/weight_format.h"

namespace mezzo {

struct ScaleChoice {
  float scale = 0;
  std::vector<uint8_t> steps;  // by group; empty without groups
};

constexpr int kTries = 4;

class ScaleSearch {
 public:
  // Rows of `weights`.size() values, in groups of `group_size`, or none if that is 0; `weights`
  // weigh the squared errors.
  ScaleSearch(const WeightFormat& format, int64_t group_size, std::vector<float> weights);

  // The kTries best choices. The row must be finite.
  std::vector<ScaleChoice> Best(const std::vector<float>& row) const;

  // The best step from..to of a group that begins at `begin`; its values are `stride` apart.
  uint8_t BestStep(float scale, const float* x, int64_t begin, int64_t stride, int from,
                   int to) const;

  // Rounds at a step; without groups at all of them the same.
  const NearestLevel& Nearest(int step) const { return nearest_[size_ ? step - 1 : 0]; }

 private:
  std::vector<ScaleChoice> WithoutGroups(const std::vector<float>& row, float scale) const;
  std::vector<ScaleChoice> WithGroups(const std::vector<float>& row, float highest) const;
  double Error(const NearestLevel& nearest, float scale, const float* x, int64_t begin,
               int64_t count, int64_t stride = 1) const;

  const int64_t size_;
  const std::vector<float> weights_;
  std::vector<NearestLevel> nearest_;  // by step, or the one without groups
  float largest_ = 0;                  // level
};

}  // namespace mezzo
