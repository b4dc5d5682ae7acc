// Instances for tests and benchmarks, the same for one seed on every machine.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "mezzo/base/error.h"
#include "mezzo/solver/knapsack.h"
#include "mezzo/solver/losses.h"

namespace mezzo {

// splitmix64: the standard library's distributions differ between machines.
struct KnapsackRandom {
  uint64_t state;

  uint64_t Next();
  int64_t Below(int64_t n) { return static_cast<int64_t>(Next() % static_cast<uint64_t>(n)); }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  double Normal();
};

struct KnapsackInstance {
  std::vector<KnapsackClass> classes;
  std::vector<int64_t> budgets;
};

namespace knapsack_testing {
inline constexpr int64_t kRange = 10'000'000;

// The option of `bits` bits of a layer with so many weights: bytes, bit operations, nanoseconds.
inline std::vector<int64_t> LayerCosts(double weights, double bits, int group, double reuse,
                                       KnapsackRandom& random) {
  const double bytes = std::floor(weights * bits / 8) + std::floor(weights / group) * 2 + 64;
  const double time =
      weights * reuse * (0.02 + 0.01 * std::ceil(bits / 4)) * (0.9 + 0.2 * random.Uniform());
  return {static_cast<int64_t>(bytes), static_cast<int64_t>(weights * reuse * bits * 8),
          static_cast<int64_t>(time)};
}

inline void AddLayer(int options, bool shapes, KnapsackRandom& random, KnapsackClass& c,
                     std::vector<double>& losses) {
  constexpr double kShapes[] = {65536, 262144, 720896, 1048576, 4194304};
  const double weights = shapes ? kShapes[random.Below(5)]
                                : std::floor(1000 * std::exp(random.Uniform() * std::log(1e4)));
  const double reuse = shapes ? 1 : std::pow(4, random.Below(6));  // positions of a convolution
  const double factor = std::exp(2.3 * random.Normal());
  for (int j = 0; j < options; ++j) {
    const double bits = 2 + (options > 1 ? 6.0 * j / (options - 1) : 0);
    KnapsackOption option{std::to_string(j), 0, {}, false};
    option.costs = LayerCosts(weights, bits, j % 2 != 0 ? 64 : 128, reuse, random);
    losses.push_back(factor * std::pow(4, -bits) * std::exp(0.2 * random.Normal()));
    c.options.push_back(std::move(option));
  }
}

inline int64_t LossFor(const std::string& kind, int64_t cost, int option, KnapsackRandom& random) {
  if (kind == "weak") return 2 * kRange - cost + random.Below(kRange / 10);
  if (kind == "strong") return 2 * kRange - cost - (option > 0 ? kRange / 10 : 0);
  if (kind == "subset") return 2 * kRange - cost;
  return random.Below(kRange);
}

// Budgets from the sums of each budget's least cost and of the cost of the least loss.
inline std::vector<int64_t> BudgetsAt(const std::vector<KnapsackClass>& classes, size_t budgets,
                                      double fraction) {
  std::vector<int64_t> low(budgets), high(budgets);
  for (const KnapsackClass& c : classes) {
    const auto best = std::min_element(c.options.begin(), c.options.end(),
                                       [](auto& a, auto& b) { return a.loss < b.loss; });
    for (size_t b = 0; b < budgets; ++b) {
      low[b] += std::min_element(c.options.begin(), c.options.end(), [b](auto& x, auto& y) {
                  return x.costs[b] < y.costs[b];
                })->costs[b];
      high[b] += best->costs[b];
    }
  }
  std::vector<int64_t> at;
  for (size_t b = 0; b < budgets; ++b)
    at.push_back(low[b] + static_cast<int64_t>(static_cast<double>(high[b] - low[b]) * fraction));
  return at;
}

}  // namespace knapsack_testing

inline uint64_t KnapsackRandom::Next() {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

inline double KnapsackRandom::Normal() {
  double sum = -6;
  for (int k = 0; k < 12; ++k) sum += Uniform();
  return sum;
}

// Kinds of instances:
//   network     layers of 10^3 to 10^7 weights; loss = 4^-bits times a lognormal factor over 6
//   decades, cost = bytes
//               of codes and scales. Of several budgets the second is bit operations, the third
//               nanoseconds.
//   shapes      the same with five shapes of layers, as blocks have them
//   uncorrelated, weak, strong, subset   losses that follow costs not at all, nearly, but for a
//   constant, exactly identical   one random class, again and again
// Budgets lie the part `fraction` of the way from the cheapest choice to the one of least loss.
inline std::vector<std::string> KnapsackKinds() {
  return {"network", "shapes", "uncorrelated", "weak", "strong", "subset", "identical"};
}

inline KnapsackInstance MakeKnapsack(const std::string& kind, int classes, int options, int budgets,
                                     double fraction, uint64_t seed) {
  const std::vector<std::string> kinds = KnapsackKinds();
  Require(std::find(kinds.begin(), kinds.end(), kind) != kinds.end(),
          "knapsack: there is no kind '", kind, "'");
  using namespace knapsack_testing;
  KnapsackRandom random{seed};
  KnapsackInstance instance;
  std::vector<std::vector<double>> losses(classes);
  const bool layers = kind == "network" || kind == "shapes";
  for (int l = 0; l < classes; ++l) {
    KnapsackClass c{"layer" + std::to_string(l), {}, ""};
    if (layers) {
      AddLayer(options, kind == "shapes", random, c, losses[l]);
      for (KnapsackOption& option : c.options) option.costs.resize(budgets);
    } else if (kind == "identical" && l > 0) {
      c.options = instance.classes[0].options;
    } else {
      for (int j = 0; j < options; ++j) {
        std::vector<int64_t> costs;
        for (int b = 0; b < budgets; ++b) costs.push_back(random.Below(kRange));
        c.options.push_back({std::to_string(j), LossFor(kind, costs[0], j, random), costs, false});
      }
    }
    instance.classes.push_back(std::move(c));
  }
  if (layers) SetLosses(losses, instance.classes);
  instance.budgets = BudgetsAt(instance.classes, budgets, fraction);
  return instance;
}

}  // namespace mezzo
