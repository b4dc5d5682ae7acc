#include "mezzo/algorithm/scale_search.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>

namespace mezzo {
namespace {

// Scales are searched among kGrid that fall by kRatio from somewhat above max|w| / largest level.
constexpr int kGrid = 56;
constexpr float kHighest = 1.2f, kRatio = 0.93f;
constexpr int kCoarsest = 24;  // of these a row with groups tries

// The least error of a group over all steps, at scale i of the grid: linear between its points.
double LeastOfSteps(const std::array<double, kGrid>& errors, int i) {
  static const std::array<float, kSteps> kPlaces = [] {
    std::array<float, kSteps> places{};
    for (int s = 0; s < kSteps; ++s)
      places[s] = std::log((s + 1) / static_cast<float>(kSteps)) / std::log(kRatio);
    return places;
  }();
  double least = INFINITY;
  for (const float place : kPlaces) {
    const float at = static_cast<float>(i) + place;
    const int before = std::min(static_cast<int>(at), kGrid - 2);
    const float part = std::min(at - static_cast<float>(before), 1.0f);
    least = std::min(least, errors[before] * (1 - part) + errors[before + 1] * part);
  }
  return least;
}

}  // namespace

ScaleSearch::ScaleSearch(const WeightFormat& format, int64_t group_size, std::vector<float> weights)
    : size_(group_size), weights_(std::move(weights)) {
  const std::vector<int8_t> levels = size_ ? Levels(format, kSteps) : Levels(format);
  largest_ = static_cast<float>(std::max(-levels.front(), int{levels.back()}));
  if (!size_) nearest_.emplace_back(levels);
  for (int step = 1; size_ && step <= kSteps; ++step) nearest_.emplace_back(Levels(format, step));
}

std::vector<ScaleChoice> ScaleSearch::Best(const std::vector<float>& row) const {
  float amax = 0;
  for (const float v : row) amax = std::max(amax, std::fabs(v));
  const float highest = std::max(kHighest * amax / largest_, 1e3f * FLT_MIN);
  return size_ ? WithGroups(row, highest) : WithoutGroups(row, highest);
}

// Weighted squared error of a stretch of a row at a scale.
double ScaleSearch::Error(const NearestLevel& nearest, float scale, const float* x, int64_t begin,
                          int64_t count, int64_t stride) const {
  double sum = 0;
  const float inverse = 1 / scale;
  for (int64_t k = 0; k < count; ++k) {
    const float v = x[k * stride];
    const float e = v - scale * static_cast<float>(nearest(v * inverse));
    sum += weights_[begin + k] * e * e;
  }
  return sum;
}

std::vector<ScaleChoice> ScaleSearch::WithoutGroups(const std::vector<float>& row,
                                                    float scale) const {
  float best = scale;
  double least = INFINITY;
  for (int i = 0; i < kGrid; ++i, scale *= kRatio) {
    const double e = Error(nearest_[0], scale, row.data(), 0, static_cast<int64_t>(row.size()));
    if (e < least) least = e, best = scale;
  }
  // Error correction spreads the weights, so that larger scales gain.
  return {{0.96f * best, {}}, {best, {}}, {1.05f * best, {}}, {1.1f * best, {}}};
}

// The error of each group at each scale of the grid, with the levels of the largest step, tells
// which scale suits all groups; their steps are then found with the levels of each.
std::vector<ScaleChoice> ScaleSearch::WithGroups(const std::vector<float>& row,
                                                 float highest) const {
  const int64_t groups = static_cast<int64_t>(row.size()) / size_;
  std::vector<std::array<double, kGrid>> errors(groups);
  for (int64_t g = 0; g < groups; ++g) {
    float scale = highest;
    for (int i = 0; i < kGrid; ++i, scale *= kRatio)
      errors[g][i] = Error(Nearest(kSteps), scale, &row[g * size_], g * size_, size_);
  }
  std::array<std::pair<double, float>, kCoarsest> order;
  float scale = highest;
  for (int i = 0; i < kCoarsest; ++i, scale *= kRatio) {
    order[i] = {0, scale};
    for (const auto& of_group : errors) order[i].first += LeastOfSteps(of_group, i);
  }
  std::sort(order.begin(), order.end());
  std::vector<ScaleChoice> candidates;
  for (int t = 0; t < kTries; ++t) {
    ScaleChoice c{order[t].second, std::vector<uint8_t>(groups)};
    for (int64_t g = 0; g < groups; ++g)
      c.steps[g] = BestStep(c.scale, &row[g * size_], g * size_, 1, 1, kSteps);
    candidates.push_back(std::move(c));
  }
  return candidates;
}

uint8_t ScaleSearch::BestStep(float scale, const float* x, int64_t begin, int64_t stride, int from,
                              int to) const {
  double least = INFINITY;
  int best = from;
  for (int step = from; step <= to; ++step) {
    const double e = Error(Nearest(step), scale, x, begin, size_, stride);
    if (e < least) least = e, best = step;
  }
  return static_cast<uint8_t>(best);
}

}  // namespace mezzo
