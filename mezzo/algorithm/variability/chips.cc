#include "mezzo/algorithm/variability/chips.h"

#include <cmath>
#include <numbers>

#include "mezzo/base/error.h"
#include "mezzo/runtime/cim.h"

namespace mezzo {
namespace {

// The probability of |T| < t, in the finite series for whole degrees of freedom: Abramowitz and
// Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
double WithinT(double t, size_t degrees) {
  const double angle = std::atan(t / std::sqrt(static_cast<double>(degrees)));
  const double cosine = std::cos(angle), square = cosine * cosine;
  const bool odd = degrees % 2 != 0;
  double sum = 0, term = odd ? cosine : 1;
  for (size_t i = odd ? 3 : 2; i <= degrees; i += 2) {
    sum += term;
    term *= square * static_cast<double>(i - 1) / static_cast<double>(i);
  }
  const double tail = std::sin(angle) * sum;
  return odd ? 2 / std::numbers::pi * (angle + tail) : tail;
}

void Summarize(const CimOptions& o, SigmaResult& r) {
  const auto n = static_cast<double>(r.values.size());
  for (const double v : r.values) r.mean += v / n;
  if (!ChipsDiffer(o)) return;
  double squares = 0;
  for (const double v : r.values) squares += (v - r.mean) * (v - r.mean);
  r.deviation = r.half_width = NAN;
  if (r.values.size() < 2) return;
  r.deviation = std::sqrt(squares / (n - 1));
  r.half_width = StudentT95(r.values.size() - 1) * r.deviation / std::sqrt(n);
}

CimOptions With(CimOptions o, float sigma, uint64_t chip) {
  o.sigma = sigma;
  o.chip = chip;
  return o;
}

}  // namespace

bool ChipsDiffer(const CimOptions& o) {
  return o.sigma > 0 || o.stuck_at_0 > 0 || o.stuck_at_1 > 0 || o.drift_spread > 0 ||
         o.read_noise > 0;
}

size_t ChipRuns(const ChipTask& task) {
  size_t runs = 0;
  for (const float sigma : task.sigmas)
    runs += ChipsDiffer(With(task.options, sigma, 0)) ? task.chips : 1;
  return runs;
}

std::vector<SigmaResult> SimulateChips(const Graph& lowered, const ChipTask& task,
                                       const std::function<double(const Graph&)>& figure,
                                       const std::function<void()>& step) {
  return SimulateChips([&](const CimOptions&) { return lowered; }, task, figure, step);
}

std::vector<SigmaResult> SimulateChips(const std::function<Graph(const CimOptions&)>& lowered,
                                       const ChipTask& task,
                                       const std::function<double(const Graph&)>& figure,
                                       const std::function<void()>& step) {
  Require(!task.sigmas.empty(), "no sigma is given");
  Require(task.chips > 0, "chips is 0, needs 1 or more");
  for (const float sigma : task.sigmas) CheckCimOptions(With(task.options, sigma, 0));
  std::vector<SigmaResult> results;
  for (const float sigma : task.sigmas) {
    SigmaResult r{sigma, {}};
    const size_t chips = ChipsDiffer(With(task.options, sigma, 0)) ? task.chips : 1;
    for (size_t c = 0; c < chips; ++c) {
      const CimOptions chip = With(task.options, sigma, CimSeed(task.seed, "chip", c));
      r.values.push_back(figure(OnArrays(lowered(chip), chip)));
      if (step) step();
    }
    Summarize(With(task.options, sigma, 0), r);
    results.push_back(std::move(r));
  }
  return results;
}

double StudentT95(size_t degrees) {
  double lo = 0, hi = 13;  // 12.7 for one degree of freedom
  for (int step = 0; step < 60; ++step) {
    const double middle = (lo + hi) / 2;
    (WithinT(middle, degrees) < 0.95 ? lo : hi) = middle;
  }
  return lo;
}

}  // namespace mezzo
