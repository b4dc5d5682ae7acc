#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mezzo/base/error.h"
#include "mezzo/calibrate/calibrators.h"
#include "mezzo/calibrate/histogram.h"

namespace mezzo {
namespace {

std::vector<float> Normal(size_t n, float sigma, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0, sigma);
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

TEST(Histogram, DoesNotDependOnOrderOrCuts) {
  std::vector<float> x = Normal(5000, 1e-3f, 1);
  const std::vector<float> wide = Normal(5000, 50, 2);
  x.insert(x.end(), wide.begin(), wide.end());
  x.insert(x.end(), {0, 0, 1, -1, 64, -64});
  Histogram whole;
  whole.Add(x);
  std::mt19937 rng(3);
  for (int round = 0; round < 5; ++round) {
    std::shuffle(x.begin(), x.end(), rng);
    Histogram a, b, none;
    const size_t cut = rng() % x.size();
    for (size_t i = 0; i < cut; i += 100) a.Add({&x[i], std::min<size_t>(100, cut - i)});
    b.Add(std::span(x).subspan(cut));
    b.Merge(a);
    b.Merge(none);
    EXPECT_TRUE(std::equal(b.bins().begin(), b.bins().end(), whole.bins().begin()));
    EXPECT_EQ(b.bin_width(), whole.bin_width());
    EXPECT_EQ(b.min(), whole.min());
    EXPECT_EQ(b.max(), whole.max());
    EXPECT_EQ(b.zeros(), 2u);
    EXPECT_EQ(b.count(), x.size());
  }
}

TEST(Histogram, PutsEdgesIntoTheInnerBin) {
  Histogram h;
  h.Add(std::vector<float>{1, 0.5f, -0.5f, 0.50001f});
  const int side = Histogram::kBinsPerSide;
  EXPECT_EQ(h.bins()[2 * side - 1], 1u);         // 1 is in the last bin, (2047, 2048] / 2048
  EXPECT_EQ(h.bins()[side + side / 2 - 1], 1u);  // 0.5 in the bin that ends there
  EXPECT_EQ(h.bins()[side + side / 2], 1u);      // 0.50001 in the next
  EXPECT_EQ(h.bins()[side - side / 2], 1u);      // -0.5
}

TEST(Histogram, CountsNanApartAndKeepsItOut) {
  Histogram h;
  h.Add(std::vector<float>{NAN, INFINITY, -INFINITY, 3});
  EXPECT_EQ(h.nans(), 3u);
  EXPECT_EQ(h.count(), 1u);
  EXPECT_EQ(h.min(), 3);
  EXPECT_EQ(h.max(), 3);
}

TEST(Histogram, HoldsExtremeMagnitudes) {
  Histogram h;
  h.Add(std::vector<float>{1e-45f, __FLT_MAX__});
  uint64_t sum = 0;
  for (const uint64_t n : h.bins()) sum += n;
  EXPECT_EQ(sum, 2u);
}

TEST(Calibrate, MaxCoversEverything) {
  Histogram h;
  h.Add(std::vector<float>{-1, 3});
  EXPECT_EQ(Calibrate(h, "max", false, 256), (Range{-1, 3}));
  EXPECT_EQ(Calibrate(h, "max", true, 255), (Range{-3, 3}));
}

TEST(Calibrate, EmptyAndAllZeroHistogramsGiveAnEmptyRange) {
  Histogram h;
  for (const std::string& rule : AllCalibrators())
    EXPECT_EQ(Calibrate(h, rule, false, 256), Range{});
  h.Add(std::vector<float>(10, 0.0f));
  for (const std::string& rule : AllCalibrators())
    EXPECT_EQ(Calibrate(h, rule, true, 255), Range{});
}

// The threshold is where numpy.percentile of |x| is, within a bin.
TEST(Calibrate, PercentileIsThatOfTheSortedValues) {
  std::vector<float> x = Normal(100000, 1, 4);
  Histogram h;
  h.Add(x);
  for (float& v : x) v = std::fabs(v);
  std::sort(x.begin(), x.end());
  for (const double p : {90.0, 99.0, 99.9}) {
    const Range r = Calibrate(h, "percentile:" + std::to_string(p), true, 255);
    EXPECT_NEAR(r.hi, x[static_cast<size_t>(p / 100 * x.size())], 2 * h.bin_width()) << p;
    EXPECT_EQ(r.lo, -r.hi);
  }
}

double TrueError(const std::vector<float>& x, Range r, int levels) {
  const double step = (static_cast<double>(r.hi) - r.lo) / (levels - 1);
  double sum = 0;
  for (const float v : x) {
    const double c = std::clamp<double>(v, r.lo, r.hi), q = std::nearbyint(c / step) * step;
    sum += (v - q) * (v - q);
  }
  return sum / x.size();
}

TEST(Calibrate, ExpectedErrorIsTheErrorOfTheValues) {
  const std::vector<float> x = Normal(200000, 1, 5);
  Histogram h;
  h.Add(x);
  for (const float t : {4.0f, 2.5f, 1.0f})
    EXPECT_NEAR(ExpectedSquaredError(h, {-t, t}, 255) / TrueError(x, {-t, t}, 255), 1, 0.02) << t;
}

// One far outlier: the error of max is a hundred times that of mse, whose range no fixed grid
// beats.
TEST(Calibrate, MseFindsTheRangeWithTheLeastError) {
  std::vector<float> x = Normal(100000, 1, 6);
  x.push_back(100);
  Histogram h;
  h.Add(x);
  const Range mse = Calibrate(h, "mse", true, 255);
  for (float t = 2; t < 100; t *= 1.1f)
    EXPECT_LE(TrueError(x, mse, 255), 1.05 * TrueError(x, {-t, t}, 255)) << t;
}

TEST(Calibrate, EntropyClipsALongTailButNotAUniform) {
  std::vector<float> tail = Normal(100000, 1, 7);
  for (int i = 0; i < 20; ++i) tail.push_back(30.0f + i);
  Histogram h;
  h.Add(tail);
  const Range r = Calibrate(h, "entropy", true, 255);
  EXPECT_LT(r.hi, 12);
  EXPECT_GT(r.hi, 2);
  std::vector<float> uniform(100000);
  for (size_t i = 0; i < uniform.size(); ++i) uniform[i] = static_cast<float>(i) / uniform.size();
  Histogram u;
  u.Add(uniform);
  EXPECT_GT(Calibrate(u, "entropy", false, 256).hi, 0.95f);
}

TEST(Calibrate, RefusesUnknownRules) {
  Histogram h;
  for (const char* rule : {"", "minmax", "percentile", "percentile:", "percentile:101",
                           "percentile:x", "percentile:99.9x"})
    EXPECT_THROW(Calibrate(h, rule, true, 255), UsageError) << rule;
}

}  // namespace
}  // namespace mezzo
