#include "mezzo/algorithm/narrow_rounder.h"

#include <algorithm>

namespace mezzo {
namespace {

constexpr int kSweeps = 2;  // of coordinate descent

// What an error of each weight costs once later ones make up for it.
std::vector<float> Costs(const float* l, int64_t depth) {
  std::vector<float> costs(depth, 1.0f);
  for (int64_t k = 0; l && k < depth; ++k) costs[k] = l[k * (depth + 1)] * l[k * (depth + 1)];
  return costs;
}

}  // namespace

void RoundedLanes::TakeLane(const RoundedLanes& from, int64_t lane) {
  scale[lane] = from.scale[lane];
  loss[lane] = from.loss[lane];
  for (size_t g = 0; g < steps.size(); g += kLanes) steps[g + lane] = from.steps[g + lane];
  for (size_t k = 0; k < w8.values.size(); k += kLanes) {
    w8.values[k + lane] = from.w8.values[k + lane];
    error.values[k + lane] = from.error.values[k + lane];
  }
}

NarrowRounder::NarrowRounder(const WeightFormat& format, int64_t depth, int64_t group_size,
                             const float* h, const float* l)
    : d_(depth),
      size_(group_size ? group_size : depth),
      groups_(depth / size_),
      grouped_(group_size > 0),
      h_(h),
      l_(l),
      search_(format, group_size, Costs(l, depth)) {}

RoundedLanes NarrowRounder::Run(const Lanes& w, int64_t count) const {
  std::vector<std::vector<ScaleChoice>> choices;
  std::vector<float> row(d_);
  for (int64_t lane = 0; lane < count; ++lane) {
    for (int64_t k = 0; k < d_; ++k) row[k] = w.At(k, lane);
    choices.push_back(search_.Best(row));
  }
  RoundedLanes best(d_, groups_), tried(d_, groups_);
  for (int t = 0; t < kTries; ++t) {
    for (int64_t lane = 0; lane < count; ++lane) {
      const ScaleChoice& c = choices[lane][t];
      tried.scale[lane] = c.scale;
      for (size_t g = 0; g < c.steps.size(); ++g) tried.steps[g * kLanes + lane] = c.steps[g];
    }
    Round(w, count, tried);
    for (int64_t lane = 0; lane < count; ++lane)
      if (t == 0 || tried.loss[lane] < best.loss[lane]) best.TakeLane(tried, lane);
  }
  if (h_) Descend(w, count, best);
  return best;
}

// Rounds all lanes at their scales, group after group, each weight making up for what those
// before it lack.
void NarrowRounder::Round(const Lanes& w, int64_t count, RoundedLanes& r) const {
  r.loss.fill(0);
  Lanes before(size_);  // of each weight of a group: what errors before the group ask for
  for (int64_t g = 0; g < groups_; ++g) {
    const int64_t begin = g * size_;
    for (int64_t j = 0; l_ && j < size_; ++j) {
      float sums[kLanes] = {};
      AddProducts(l_ + (begin + j) * d_, r.error.values.data(), 0, begin, sums);
      std::copy_n(sums, kLanes, &before.At(j, 0));
    }
    if (grouped_ && l_ && g > 0) RenewSteps(w, count, before, g, r);
    for (int64_t j = 0; j < size_; ++j) {
      const int64_t k = begin + j;
      float sums[kLanes];
      Feedback(before, begin, j, r.error, sums);
      const float pivot = l_ ? l_[k * (d_ + 1)] : 1;
      for (int64_t lane = 0; lane < count; ++lane) {
        const float target = w.At(k, lane) + sums[lane];
        const float code = search_.Nearest(r.steps[g * kLanes + lane])(target / r.scale[lane]);
        const float value = r.scale[lane] * code;
        r.w8.At(k, lane) = code;
        r.error.At(k, lane) = w.At(k, lane) - value;
        const float miss = (target - value) * pivot;
        r.loss[lane] += miss * miss;
      }
    }
  }
}

// What weight j of a group is to make up for; zeros if nothing is corrected.
void NarrowRounder::Feedback(const Lanes& before, int64_t begin, int64_t j, const Lanes& error,
                             float (&sums)[kLanes]) const {
  std::fill(sums, sums + kLanes, 0.0f);
  if (!l_) return;
  const float* row = l_ + (begin + j) * d_;
  std::copy_n(before.Row(j), kLanes, sums);
  AddProducts(row, error.values.data(), begin, begin + j, sums);
  for (float& s : sums) s /= row[begin + j];
}

// Steps from what the group's weights would be if they were not rounded.
void NarrowRounder::RenewSteps(const Lanes& w, int64_t count, const Lanes& before, int64_t g,
                               RoundedLanes& r) const {
  constexpr int kReach = 4;  // steps hardly move further
  const int64_t begin = g * size_;
  Lanes wanted(size_);
  for (int64_t j = 0; j < size_; ++j) {
    float sums[kLanes];
    Feedback(before, begin, j, r.error, sums);
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      wanted.At(j, lane) = w.At(begin + j, lane) + sums[lane];
      r.error.At(begin + j, lane) = -sums[lane];
    }
  }
  for (int64_t lane = 0; lane < count; ++lane) {
    uint8_t& step = r.steps[g * kLanes + lane];
    step = search_.BestStep(r.scale[lane], &wanted.At(0, lane), begin, kLanes,
                            std::max(1, step - kReach), std::min(kSteps, step + kReach));
  }
}

// Coordinate descent on e^T H e; `loss` becomes that.
void NarrowRounder::Descend(const Lanes& w, int64_t count, RoundedLanes& r) const {
  Lanes gradient(d_);  // H e
  for (int64_t k = 0; k < d_; ++k) {
    float sums[kLanes] = {};
    AddProducts(h_ + k * d_, r.error.values.data(), 0, d_, sums);
    std::copy_n(sums, kLanes, &gradient.At(k, 0));
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep)
    for (int64_t k = 0; k < d_; ++k) {
      float change[kLanes] = {};
      if (!BestCodes(w, count, k, gradient, r, change)) continue;
      const float* h = h_ + k * d_;
      for (int64_t j = 0; j < d_; ++j)
        for (int64_t lane = 0; lane < kLanes; ++lane) gradient.At(j, lane) += h[j] * change[lane];
    }
  for (int64_t lane = 0; lane < count; ++lane) {
    r.loss[lane] = 0;
    for (int64_t k = 0; k < d_; ++k) r.loss[lane] += r.error.At(k, lane) * gradient.At(k, lane);
  }
}

// Gives weight k of each lane its best code, and tells how errors change; false if none does.
bool NarrowRounder::BestCodes(const Lanes& w, int64_t count, int64_t k, const Lanes& gradient,
                              RoundedLanes& r, float (&change)[kLanes]) const {
  const float curve = h_[k * (d_ + 1)];
  bool any = false;
  for (int64_t lane = 0; lane < count; ++lane) {
    const float slope = gradient.At(k, lane), scale = r.scale[lane];
    const float wanted = w.At(k, lane) - r.error.At(k, lane) + slope / curve;
    const float code = search_.Nearest(r.steps[k / size_ * kLanes + lane])(wanted / scale);
    const float by = scale * (r.w8.At(k, lane) - code);
    if (by == 0 || 2 * slope * by + curve * by * by >= 0) continue;
    r.w8.At(k, lane) = code;
    r.error.At(k, lane) += by;
    change[lane] = by;
    any = true;
  }
  return any;
}

}  // namespace mezzo
