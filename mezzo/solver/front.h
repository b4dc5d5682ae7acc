// One budget: the whole trade of cost against loss at once, for plots and for choosing a budget.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/solver/knapsack.h"

namespace mezzo {

// Choices on the convex hull of (cost, loss), from the cheapest to the one of least loss, a class
// changed from each to the next. Each is the best at its own cost; for budgets between two there
// can be better ones than the first, which SolveKnapsackAt finds.
struct KnapsackFront {
  struct Point {
    int64_t cost, loss;
    double multiplier;  // loss given up per cost from the point before; infinity at the first;
                        // never rising
  };
  struct Change {
    int class_index, option;
  };
  std::vector<Point> points;
  std::vector<int> cheapest;    // the first point's choice
  std::vector<Change> changes;  // in the order of the points...
  std::vector<size_t> ends;     // ...point p has the first ends[p] of them

  std::vector<int> Choice(size_t point) const;
};

// Takes one sort. Throws what SolveKnapsack throws; the classes have one cost each.
KnapsackFront Front(const std::vector<KnapsackClass>& classes);

// Exact answers at each of the budgets.
std::vector<KnapsackAnswer> SolveKnapsackAt(const std::vector<KnapsackClass>& classes,
                                            const std::vector<int64_t>& budgets,
                                            const KnapsackLimits& limits = {});

}  // namespace mezzo
