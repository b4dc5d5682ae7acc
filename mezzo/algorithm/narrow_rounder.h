// Rounds rows of weights to the levels of a narrow format: the loops of narrow_weights.h.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mezzo/algorithm/lanes.h"
#include "mezzo/algorithm/scale_search.h"

namespace mezzo {

// Up to kLanes rows, rounded.
struct RoundedLanes {
  std::array<float, kLanes> scale{};
  std::array<double, kLanes> loss{};
  std::vector<uint8_t> steps;  // groups x kLanes
  Lanes w8, error;             // error = w - scale * w8

  RoundedLanes(int64_t depth, int64_t groups)
      : steps(static_cast<size_t>(groups * kLanes), kSteps), w8(depth), error(depth) {}

  void TakeLane(const RoundedLanes& from, int64_t lane);
};

class NarrowRounder {
 public:
  // Rows of `depth` in groups of `group_size`, or none if that is 0. H and its factor L
  // (rounding.h) are null for the nearest codes; they must outlive this.
  NarrowRounder(const WeightFormat& format, int64_t depth, int64_t group_size, const float* h,
                const float* l);

  // The first `count` lanes.
  RoundedLanes Run(const Lanes& w, int64_t count) const;

  int64_t groups() const { return groups_; }

 private:
  void Round(const Lanes& w, int64_t count, RoundedLanes& r) const;
  void Feedback(const Lanes& before, int64_t begin, int64_t j, const Lanes& error,
                float (&sums)[kLanes]) const;
  void RenewSteps(const Lanes& w, int64_t count, const Lanes& before, int64_t group,
                  RoundedLanes& r) const;
  void Descend(const Lanes& w, int64_t count, RoundedLanes& r) const;
  bool BestCodes(const Lanes& w, int64_t count, int64_t k, const Lanes& gradient, RoundedLanes& r,
                 float (&change)[kLanes]) const;

  const int64_t d_, size_, groups_;  // of one group, as long as the row, if there are none
  const bool grouped_;
  const float *h_, *l_;
  const ScaleSearch search_;
};

}  // namespace mezzo
