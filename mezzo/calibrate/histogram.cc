#include "mezzo/calibrate/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace mezzo {
namespace {

constexpr int kSide = Histogram::kBinsPerSide;
constexpr int kMinExponent = -100;  // values below 2^-100 / 2048 share the innermost bins

// The smallest e with |x| <= 2^e.
int ExponentAbove(float amax) {
  int e;
  const float mantissa = std::frexp(amax, &e);  // amax = mantissa * 2^e, mantissa in [0.5, 1)
  return std::max(mantissa == 0.5f ? e - 1 : e, kMinExponent);
}

// Bin of x != 0 on the positive side for scale = bins per unit: (i, i + 1] / scale.
inline int BinOf(float magnitude, float scale) {
  const float v = magnitude * scale;  // exact: scale is a power of two
  const int i = static_cast<int>(v);
  return std::min(i - (static_cast<float>(i) == v && i > 0), kSide - 1);
}

}  // namespace

void Histogram::Add(std::span<const float> values) {
  float lo = 0, hi = 0;
  uint64_t bad = 0;
  for (const float v : values) {
    const bool finite = std::fabs(v) <= __FLT_MAX__;
    const float f = finite ? v : 0.0f;
    bad += !finite;
    lo = std::min(lo, f);
    hi = std::max(hi, f);
  }
  if (count_ == 0 && bad < values.size()) {  // the first values: 0 need not be among them
    min_ = __FLT_MAX__;
    max_ = -__FLT_MAX__;
  }
  const float amax = std::max(-lo, hi);
  if (amax > 0) {
    const int e = ExponentAbove(amax);
    if (bins_.empty()) {
      bins_.assign(2 * kSide, 0);
      exponent_ = e;
    } else if (e > exponent_) {
      Grow(e);
    }
  }
  const float scale = bins_.empty() ? 0.0f : std::ldexp(static_cast<float>(kSide), -exponent_);
  uint64_t zeros = 0;
  float least = min_, most = max_;
  for (const float v : values) {
    if (!(std::fabs(v) <= __FLT_MAX__)) continue;
    least = std::min(least, v);
    most = std::max(most, v);
    if (v == 0) {
      ++zeros;
    } else {
      const int i = BinOf(std::fabs(v), scale);
      ++bins_[v > 0 ? kSide + i : kSide - 1 - i];
    }
  }
  min_ = least;
  max_ = most;
  zeros_ += zeros;
  nans_ += bad;
  count_ += values.size() - bad;
}

void Histogram::Grow(int exponent) {
  const int steps = exponent - exponent_;
  exponent_ = exponent;
  std::vector<uint64_t> merged(2 * kSide, 0);
  for (int i = 0; i < kSide; ++i) {
    const int j = steps < 31 ? i >> steps : 0;
    merged[kSide + j] += bins_[kSide + i];
    merged[kSide - 1 - j] += bins_[kSide - 1 - i];
  }
  bins_ = std::move(merged);
}

void Histogram::Merge(const Histogram& other) {
  nans_ += other.nans_;
  if (other.count_ == 0) return;
  min_ = count_ ? std::min(min_, other.min_) : other.min_;
  max_ = count_ ? std::max(max_, other.max_) : other.max_;
  count_ += other.count_;
  zeros_ += other.zeros_;
  if (other.bins_.empty()) return;
  if (bins_.empty()) {
    bins_ = other.bins_;
    exponent_ = other.exponent_;
    return;
  }
  Histogram theirs = other;
  if (theirs.exponent_ < exponent_) theirs.Grow(exponent_);
  if (exponent_ < theirs.exponent_) Grow(theirs.exponent_);
  for (int i = 0; i < 2 * kSide; ++i) bins_[i] += theirs.bins_[i];
}

float Histogram::amax() const { return count_ ? std::max(std::fabs(min_), std::fabs(max_)) : 0; }

double Histogram::bin_width() const { return std::ldexp(1.0 / kSide, exponent_); }

std::vector<uint64_t> Histogram::AbsBins() const {
  std::vector<uint64_t> bins(kSide, 0);
  if (!bins_.empty())
    for (int i = 0; i < kSide; ++i) bins[i] = bins_[kSide + i] + bins_[kSide - 1 - i];
  return bins;
}

}  // namespace mezzo
