#include "mezzo/calibrate/calibrators.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

constexpr int kSide = Histogram::kBinsPerSide;

double ParsePercentile(const std::string& rule) {
  const std::string prefix = "percentile:";
  double p = 0;
  const char* end = rule.data() + rule.size();
  if (rule.starts_with(prefix)) {
    const auto [stop, error] = std::from_chars(rule.data() + prefix.size(), end, p);
    if (error != std::errc() || stop != end) p = 0;
  }
  Require(p > 50 && p <= 100, "calibration '", rule,
          "' is unknown: use max, mse, entropy or percentile:P with 50 < P <= 100");
  return p;
}

// The magnitude below which the share p of all values lie, linear inside the bin.
double Percentile(const Histogram& h, double percent) {
  const std::vector<uint64_t> bins = h.AbsBins();
  const double target = percent / 100 * static_cast<double>(h.count());
  double below = static_cast<double>(h.zeros());
  for (int i = 0; i < kSide; ++i) {
    const double next = below + static_cast<double>(bins[i]);
    if (next >= target && bins[i] > 0)
      return (i + std::max(0.0, target - below) / static_cast<double>(bins[i])) * h.bin_width();
    below = next;
  }
  return h.amax();
}

// KL divergence of the first n bins, tail clipped into the last one, from their merge into `levels`
// steps.
double ClippedKl(const std::vector<uint64_t>& bins, double tail, int n, int levels) {
  double total = tail;
  for (int i = 0; i < n; ++i) total += static_cast<double>(bins[i]);
  if (total == 0) return std::numeric_limits<double>::infinity();
  double kept = 0, divergence = 0;
  for (int i = 0; i < n; ++i) kept += static_cast<double>(bins[i]);
  if (kept == 0) return std::numeric_limits<double>::infinity();
  for (int level = 0; level < levels; ++level) {
    const int begin = static_cast<int>(static_cast<int64_t>(n) * level / levels);
    const int end = static_cast<int>(static_cast<int64_t>(n) * (level + 1) / levels);
    double mass = 0;
    int filled = 0;
    for (int i = begin; i < end; ++i) {
      mass += static_cast<double>(bins[i]);
      filled += bins[i] > 0;
    }
    if (filled == 0) {
      if (end == n && tail > 0) return std::numeric_limits<double>::infinity();
      continue;
    }
    const double q = mass / filled / kept;
    for (int i = begin; i < end; ++i) {
      const double p = (static_cast<double>(bins[i]) + (i == n - 1 ? tail : 0)) / total;
      if (p == 0) continue;
      if (bins[i] == 0) return std::numeric_limits<double>::infinity();
      divergence += p * std::log(p / q);
    }
  }
  return divergence;
}

double EntropyThreshold(const Histogram& h, int levels_per_side) {
  const std::vector<uint64_t> bins = h.AbsBins();
  double tail = 0, best = std::numeric_limits<double>::infinity();
  int used = kSide;
  while (used > 1 && bins[used - 1] == 0) --used;
  int best_n = used;
  for (int n = used; n >= std::min(levels_per_side, used); --n) {
    const double divergence = ClippedKl(bins, tail, n, std::min(levels_per_side, n));
    if (divergence < best) {
      best = divergence;
      best_n = n;
    }
    tail += static_cast<double>(bins[n - 1]);
  }
  return std::min<double>(best_n * h.bin_width(), h.amax());
}

// Integral of (x - nearest code)^2 over [a, b] for codes at every multiple of `step`, by the
// antiderivative of the periodic function.
double RoundingIntegral(double a, double b, double step) {
  const auto antiderivative = [step](double x) {
    const double cells = std::floor(x / step + 0.5);
    const double r = x - cells * step;  // in [-step/2, step/2)
    return cells * step * step * step / 12 + r * r * r / 3;
  };
  return antiderivative(b) - antiderivative(a);
}

double ClipIntegral(double a, double b, double edge) {
  const double u = b - edge, v = a - edge;
  return (u * u * u - v * v * v) / 3;
}

// Squared error of values spread evenly over (a, b] when codes are multiples of step up to `limit`.
double SideError(std::span<const uint64_t> bins, bool negative, double width, double limit,
                 double step) {
  double sum = 0;
  for (int i = 0; i < kSide; ++i) {
    const uint64_t n = negative ? bins[kSide - 1 - i] : bins[kSide + i];
    if (n == 0) continue;
    const double a = i * width, b = a + width;
    double integral;
    if (b <= limit)
      integral = RoundingIntegral(a, b, step);
    else if (a >= limit)
      integral = ClipIntegral(a, b, limit);
    else
      integral = RoundingIntegral(a, limit, step) + ClipIntegral(limit, b, limit);
    sum += static_cast<double>(n) * integral / width;
  }
  return sum;
}

Range MseRange(const Histogram& h, bool symmetric, int levels) {
  const double lo = symmetric ? -h.amax() : std::min(h.min(), 0.0f);
  const double hi = symmetric ? h.amax() : std::max(h.max(), 0.0f);
  const auto range = [&](double a, double b) {
    return Range{static_cast<float>(lo * a), static_cast<float>(hi * b)};
  };
  double best = std::numeric_limits<double>::infinity(), best_a = 1, best_b = 1;
  const auto attempt = [&](double a, double b) {
    const double error = ExpectedSquaredError(h, range(a, b), levels);
    if (error < best) best = error, best_a = a, best_b = b;
  };
  for (int i = 100; i >= 5; --i) attempt(i / 100.0, i / 100.0);
  if (!symmetric && lo < 0 && hi > 0)  // then each side by itself, twice
    for (int round = 0; round < 2; ++round) {
      const double b = best_b;
      for (int i = 100; i >= 5; i -= 2) attempt(i / 100.0, b);
      const double a = best_a;
      for (int i = 100; i >= 5; i -= 2) attempt(a, i / 100.0);
    }
  const double a = best_a, b = best_b;
  for (int i = -9; i <= 9; ++i)
    attempt(std::min(1.0, a + i / 1000.0), std::min(1.0, b + i / 1000.0));
  return range(best_a, best_b);
}

}  // namespace

double ExpectedSquaredError(const Histogram& h, Range r, int levels) {
  if (h.bins().empty() || h.count() == 0) return 0;
  const double step = (static_cast<double>(r.hi) - r.lo) / (levels - 1);
  if (!(step > 0)) return std::numeric_limits<double>::infinity();
  const double width = h.bin_width();
  return (SideError(h.bins(), false, width, r.hi, step) +
          SideError(h.bins(), true, width, -static_cast<double>(r.lo), step)) /
         static_cast<double>(h.count());
}

void CheckCalibrator(const std::string& rule) {
  if (rule != "max" && rule != "mse" && rule != "entropy") ParsePercentile(rule);
}

Range Calibrate(const Histogram& h, const std::string& rule, bool symmetric, int levels) {
  CheckCalibrator(rule);
  if (h.amax() == 0) return {};
  if (rule == "mse") return MseRange(h, symmetric, levels);
  double threshold = h.amax();
  if (rule == "entropy") threshold = EntropyThreshold(h, levels / 2 + 1);
  if (rule.starts_with("percentile")) threshold = Percentile(h, ParsePercentile(rule));
  const float t = static_cast<float>(threshold);
  if (symmetric) return {-t, t};
  return {std::max(-t, std::min(h.min(), 0.0f)), std::min(t, std::max(h.max(), 0.0f))};
}

const std::vector<std::string>& AllCalibrators() {
  static const std::vector<std::string> kAll{"max",
                                             "mse",
                                             "entropy",
                                             "percentile:99.9",
                                             "percentile:99.99",
                                             "percentile:99.999",
                                             "percentile:99.9999"};
  return kAll;
}

}  // namespace mezzo
