// What the solver works on: classes without names, ties merged, excluded and dominated options
// gone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "mezzo/solver/knapsack.h"

namespace mezzo {

constexpr size_t kMaxBudgets = 4;
using Costs = std::array<int64_t, kMaxBudgets>;  // those beyond the number of budgets are 0

constexpr int64_t kMaxSum = int64_t{1} << 61;

__extension__ using Int128 = __int128;  // holds a product of two sums

// The fraction rounded up, for denominator > 0; at most 2^62 either way.
inline int64_t CeilDivide(Int128 numerator, int64_t denominator) {
  const Int128 quotient = numerator / denominator + (numerator % denominator > 0);
  return static_cast<int64_t>(std::clamp<Int128>(quotient, -(Int128{1} << 62), Int128{1} << 62));
}

struct Item {
  int64_t loss;
  Costs costs;
  int option;  // the caller's index
};

struct Problem {
  size_t budget_count;
  Costs budgets;                           // at most kMaxSum, which no sum of costs exceeds
  std::vector<std::vector<Item>> classes;  // none empty; sorted by the first cost, none dominated
  std::vector<int> class_of;  // for each of the caller's classes the one that it became
};

struct Choice {
  std::vector<int> items;  // for each class; empty if no choice is known that fits
  int64_t loss = 0;
  Costs costs{};
};

// What an exact search ends with. `lower_bound` equals best.loss unless a limit ended it; if no
// choice fits, both are one more than the largest loss.
struct SearchResult {
  Choice best;
  int64_t lower_bound;
  int64_t states;
};

// Checks what SolveKnapsack's contract says and builds the problem.
Problem MakeProblem(const std::vector<KnapsackClass>& classes, const std::vector<int64_t>& budgets);

// Of items that lose no less and cost no less in every budget than another, none is needed. Sorts
// the rest by costs; of equal ones the first option stays.
void DropDominated(std::vector<Item>& items, size_t budget_count);

// For each budget the sum of the classes' smallest costs.
Costs SmallestCosts(const Problem& problem);

}  // namespace mezzo
