#include "mezzo/format/weight_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace mezzo {
namespace {

TEST(WeightFormat, LevelsAscendAndTwoOfThemNeverSumToMoreThanThePairLimit) {
  for (const WeightFormat& f : AllWeightFormats()) {
    EXPECT_EQ(FindWeightFormat(f.name), &f);
    if (!f.narrow()) continue;
    std::vector<std::vector<int8_t>> tables{Levels(f)};
    for (int step = 1; step <= kSteps; ++step) tables.push_back(Levels(f, step));
    for (const std::vector<int8_t>& levels : tables) {
      EXPECT_EQ(levels.size(), size_t{1} << f.bits);
      EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
      EXPECT_LE(-levels.front(), kLargestLevel);
      EXPECT_LE(levels.back(), kLargestLevel);
    }
    // Without groups and at the largest step no two codes mean the same.
    for (const size_t i : {size_t{0}, size_t{kSteps}})
      EXPECT_EQ(std::adjacent_find(tables[i].begin(), tables[i].end()), tables[i].end()) << f.name;
  }
  EXPECT_EQ(FindWeightFormat("nf7"), nullptr);
}

// Files and plans hold int8 weights that are levels, so these may not change.
TEST(WeightFormat, LevelsAreWhatFilesWereWrittenWith) {
  const auto levels = [](const char* name) { return Levels(*FindWeightFormat(name)); };
  EXPECT_EQ(levels("nf2"), (std::vector<int8_t>{-64, -17, 17, 64}));
  EXPECT_EQ(levels("nf3"), (std::vector<int8_t>{-64, -39, -21, -6, 6, 21, 39, 64}));
  EXPECT_EQ(levels("nf4"), (std::vector<int8_t>{-64, -49, -37, -27, -20, -13, -8, -2, 2, 8, 13, 20,
                                                27, 37, 49, 64}));
  EXPECT_EQ(levels("int2"), (std::vector<int8_t>{-3, -1, 1, 3}));
  EXPECT_EQ(levels("int3"), (std::vector<int8_t>{-7, -5, -3, -1, 1, 3, 5, 7}));
  EXPECT_EQ(levels("int4").front(), -8);
  EXPECT_EQ(levels("int6").back(), 31);
  EXPECT_EQ(Levels(*FindWeightFormat("int4"), 16).front(), -64);
  EXPECT_EQ(Levels(*FindWeightFormat("nf2"), 8), (std::vector<int8_t>{-32, -9, 9, 32}));
}

TEST(NearestLevel, AgreesWithASearchAtEveryQuarter) {
  for (const WeightFormat& f : AllWeightFormats()) {
    if (!f.narrow()) continue;
    const std::vector<int8_t> levels = Levels(f);
    const NearestLevel nearest(levels);
    for (float x = -80; x <= 80; x += 0.25f) {
      float best = INFINITY;
      for (const int8_t level : levels) best = std::min(best, std::fabs(x - level));
      EXPECT_EQ(std::fabs(x - nearest(x)), best) << f.name << " " << x;
    }
    EXPECT_EQ(nearest(1e30f), levels.back());
    EXPECT_EQ(nearest(-INFINITY), levels.front());
  }
}

}  // namespace
}  // namespace mezzo
