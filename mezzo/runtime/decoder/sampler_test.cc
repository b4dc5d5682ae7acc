#include "mezzo/runtime/decoder/sampler.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

namespace mezzo {
namespace {

const Tensor kLogits = Tensor::Of(
    std::vector<float>{std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)}, {1, 4});

// Shares of 40000 draws.
std::array<double, 4> Shares(const SamplerOptions& o) {
  Sampler sampler(o);
  std::array<double, 4> shares{};
  for (int i = 0; i < 40000; ++i) shares[sampler.Next(kLogits)] += 1 / 40000.0;
  return shares;
}

// Four standard errors of a share of 40000 draws are at most 0.01.
void ExpectShares(const SamplerOptions& o, const std::array<double, 4>& want) {
  const auto got = Shares(o);
  for (int i = 0; i < 4; ++i) EXPECT_NEAR(got[i], want[i], want[i] == 0 ? 0 : 0.01) << i;
}

TEST(Sampler, DrawsByProbabilityTemperatureAndCut) {
  ExpectShares({.temperature = 1}, {0.1, 0.5, 0.15, 0.25});
  ExpectShares({.temperature = 0}, {0, 1, 0, 0});
  ExpectShares({.temperature = 1, .top_k = 2}, {0, 2 / 3.0, 0, 1 / 3.0});
  ExpectShares({.temperature = 1, .top_p = 0.8f}, {0, 0.5 / 0.9, 0.15 / 0.9, 0.25 / 0.9});
  const double half = std::sqrt(0.1) + std::sqrt(0.5) + std::sqrt(0.15) + std::sqrt(0.25);
  ExpectShares({.temperature = 2}, {std::sqrt(0.1) / half, std::sqrt(0.5) / half,
                                    std::sqrt(0.15) / half, std::sqrt(0.25) / half});
}

TEST(Sampler, TheSeedDecides) {
  Sampler a({.temperature = 1, .seed = 7}), b({.temperature = 1, .seed = 7}),
      c({.temperature = 1, .seed = 8});
  std::vector<int32_t> x, y, z;
  for (int i = 0; i < 50; ++i)
    x.push_back(a.Next(kLogits)), y.push_back(b.Next(kLogits)), z.push_back(c.Next(kLogits));
  EXPECT_EQ(x, y);
  EXPECT_NE(x, z);
}

TEST(Sampler, RefusesWhatMeansNothing) {
  EXPECT_THROW(Sampler({.temperature = -1}), UsageError);
  EXPECT_THROW(Sampler({.temperature = NAN}), UsageError);
  EXPECT_THROW(Sampler({.top_k = -1}), UsageError);
  EXPECT_THROW(Sampler({.top_p = 0}), UsageError);
}

}  // namespace
}  // namespace mezzo
