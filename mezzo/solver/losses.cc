#include "mezzo/solver/losses.h"

#include <algorithm>
#include <cmath>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

void Check(const KnapsackClass& c, const std::vector<double>& sensitivities) {
  Require(sensitivities.size() == c.options.size(), "knapsack: class '", c.name, "' has ",
          c.options.size(), " options but ", sensitivities.size(), " sensitivities");
  for (size_t j = 0; j < sensitivities.size(); ++j)
    Require(std::isfinite(sensitivities[j]) && sensitivities[j] >= 0,
            "knapsack: the sensitivity of layer '", c.name, "' to '", c.options[j].name, "' is ",
            sensitivities[j], ", needs a finite number from 0 on");
}

}  // namespace

double SetLosses(std::span<const std::vector<double>> sensitivities,
                 std::vector<KnapsackClass>& classes) {
  Require(sensitivities.size() == classes.size(), "knapsack: got sensitivities of ",
          sensitivities.size(), " classes, needs ", classes.size());
  long double sum = 0;  // does not overflow
  for (size_t l = 0; l < classes.size(); ++l) {
    Check(classes[l], sensitivities[l]);
    if (!sensitivities[l].empty())
      sum += *std::max_element(sensitivities[l].begin(), sensitivities[l].end());
  }
  int exponent = 0;  // sum is in [2^(exponent-1), 2^exponent)
  if (sum > 0) std::frexp(sum, &exponent);
  const int shift =
      sum > 0 ? std::min(52 - exponent, 1074) : 0;  // 2^-1074 is the smallest unit there is
  for (size_t l = 0; l < classes.size(); ++l)
    for (size_t j = 0; j < classes[l].options.size(); ++j)
      classes[l].options[j].loss = std::llrint(std::ldexp(sensitivities[l][j], shift));
  return std::ldexp(1.0, -shift);
}

}  // namespace mezzo
