// Several budgets: multipliers as a test of partial choices. With `rest`, what the undecided
// classes add to a priced sum at least, a partial choice can only end at a loss of `target` or less
// if
//
//   Priced(its loss and costs) + rest <= Priced(target, room)
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "mezzo/solver/multipliers.h"
#include "mezzo/solver/repair.h"

namespace mezzo {

struct Price {
  Price(const Multipliers& m, const ClassItems& undecided) : multipliers(m), rest(0) {
    for (size_t b = 0; b < kMaxBudgets; ++b)
      lambda[b] = static_cast<double>(m.prices[b]) / static_cast<double>(m.scale);
    for (const auto* items : undecided) Add(LeastPriced(*items));
  }

  Int128 LeastPriced(const std::vector<Item>& items) const {
    Int128 least = multipliers.Priced(items[0].loss, items[0].costs);
    for (const Item& item : items)
      least = std::min(least, multipliers.Priced(item.loss, item.costs));
    return least;
  }

  void Add(Int128 least) {
    rest += least;
    rest_loss = static_cast<double>(rest) / static_cast<double>(multipliers.scale);
  }

  // Roughly what a partial choice of this loss and these costs loses in the end, at least.
  double Bound(int64_t loss, const Costs& costs, const Costs& room) const {
    double sum = static_cast<double>(loss) + rest_loss;
    for (size_t b = 0; b < kMaxBudgets; ++b)
      sum += lambda[b] * static_cast<double>(costs[b] - room[b]);
    return sum;
  }

  Multipliers multipliers;
  Int128 rest;
  std::array<double, kMaxBudgets> lambda;  // the same in doubles, for estimates
  double rest_loss = 0;
};

}  // namespace mezzo
