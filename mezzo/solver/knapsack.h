// The multiple-choice knapsack in integers, solved exactly: a precision for each layer of a
// network.
//
//   minimize sum_l loss[l][x_l]   subject to   sum_l cost[l][x_l][b] <= budget[b] for every b,
//
// one option x_l for each class (layer) l. Losses and costs are whole numbers (bytes, bit
// operations, nanoseconds), and every comparison is exact. The answer carries a certificate that
// needs no trust in the search.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mezzo {

struct KnapsackOption {
  std::string name;            // for messages, and to match the options of tied classes
  int64_t loss = 0;            // >= 0, see losses.h for how to make it of doubles
  std::vector<int64_t> costs;  // one for each budget, >= 0
  bool excluded = false;       // is never chosen, nor by a class that is tied to this one
};

struct KnapsackClass {
  std::string name;
  std::vector<KnapsackOption> options;
  std::string tie;  // classes with the same tie (not "") take options of the same index
};

// When the search gives up. The answer then has the best choice found and a bound that holds.
struct KnapsackLimits {
  double seconds = 10;          // looked at for each class that is decided
  int64_t states = 20'000'000;  // partial choices, up to 32 bytes each; alike on every machine
};

// Why no choice is better than `bound`: with lambda_b = multipliers[b] / denominator >= 0,
//
//   sum_l min_j (loss[l][j] + sum_b lambda_b * cost[l][j][b]) - sum_b lambda_b * budget[b]
//
// is at most the loss of any choice that fits, and `bound` is it, rounded up. If the answer is
// proven and its loss is above the bound, the rest was closed by an exhaustive search of `states`
// partial choices. For tens of classes anyone can repeat that from the multipliers alone, with less
// cunning (knapsack_checks.h does): with r[l][j], how far an option lies above its class's minimum
// in the sum, a better choice has sum_l r[l][x_l] < loss - bound, which leaves few options to try.
struct KnapsackCertificate {
  std::vector<int64_t> multipliers;
  int64_t denominator = 1;
  int64_t bound = 0;
};

// For one budget the published greedy along the hulls (greedy.h). For several the choice of the
// multipliers, repaired (repair.h).
struct KnapsackGreedy {
  bool feasible = false;    // several budgets may defeat it
  std::vector<int> choice;  // as in KnapsackAnswer
  int64_t loss = 0;
};

struct KnapsackAnswer {
  bool feasible = false;    // `choice` fits every budget
  bool proven = false;      // no choice is better; or, if not feasible, none fits all budgets
  std::vector<int> choice;  // for each class the index of its option
  int64_t loss = 0;
  std::vector<int64_t> costs;  // for each budget what the choice costs
  int64_t lower_bound = 0;     // on the loss of every choice that fits; `loss` if proven
  KnapsackGreedy greedy;
  KnapsackCertificate certificate;
  int64_t states = 0;                     // partial choices that the search kept
  std::vector<int64_t> smallest_budgets;  // for each budget alone, the least that any choice costs

  int64_t Gap() const { return loss - lower_bound; }
};

// Throws UsageError that names class and option if there are no classes or budgets, a class is
// empty or has all options excluded, there are more than 4 budgets, an option has another number of
// costs than there are budgets,
// a number is negative, tied classes do not have the same option names, or losses or costs could
// sum to more than 2^61. Without limits that strike, the answer depends on the arguments alone.
KnapsackAnswer SolveKnapsack(const std::vector<KnapsackClass>& classes,
                             const std::vector<int64_t>& budgets,
                             const KnapsackLimits& limits = {});

}  // namespace mezzo
