// Several budgets: prices for them, the multipliers of the Lagrangian relaxation.
//
//   L(lambda) = sum_l min_j (loss[l][j] + lambda . cost[l][j]) - lambda . room
//
// bounds the loss of all choices that fit `room`, for every lambda >= 0. The largest L is the
// linear relaxation's optimum; it is found by column generation (Dantzig & Wolfe 1960): the simplex
// method over convex combinations of choices, a basis of one more column than there are budgets,
// the next column being the minimizing choice. That runs in doubles; the multipliers are then
// rounded to fractions, for which the bound holds exactly.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/solver/problem.h"

namespace mezzo {

// lambda_b = prices[b] / scale
struct Multipliers {
  Costs prices{};
  int64_t scale = 1;

  // scale * (loss + lambda . costs); fits in 126 bits for sums of the items that the multipliers
  // were made for
  Int128 Priced(int64_t loss, const Costs& costs) const {
    Int128 sum = static_cast<Int128>(scale) * loss;
    for (size_t b = 0; b < kMaxBudgets; ++b) sum += static_cast<Int128>(prices[b]) * costs[b];
    return sum;
  }
};

// Multipliers close to the best for these classes, whose losses and costs may be negative too
// (differences).
Multipliers FindMultipliers(const std::vector<const std::vector<Item>*>& classes, const Costs& room,
                            size_t budget_count);

}  // namespace mezzo
