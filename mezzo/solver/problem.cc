#include "mezzo/solver/problem.h"

#include <algorithm>
#include <unordered_map>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

void CheckOption(const KnapsackClass& c, const KnapsackOption& option, size_t budget_count) {
  Require(option.costs.size() == budget_count, "knapsack: option '", option.name, "' of class '",
          c.name, "' has ", option.costs.size(), " costs, needs one for each of ", budget_count,
          " budgets");
  Require(option.loss >= 0, "knapsack: option '", option.name, "' of class '", c.name,
          "' has the negative loss ", option.loss);
  for (const int64_t cost : option.costs)
    Require(cost >= 0, "knapsack: option '", option.name, "' of class '", c.name,
            "' has the negative cost ", cost);
}

// Adds what the class can add at most to `sums`, which stay below kMaxSum: [0] of losses, [1 + b]
// of costs.
void AddLargest(const KnapsackClass& c, std::vector<int64_t>& sums) {
  for (size_t k = 0; k < sums.size(); ++k) {
    const auto value = [k](const KnapsackOption& o) { return k == 0 ? o.loss : o.costs[k - 1]; };
    const auto largest = std::max_element(c.options.begin(), c.options.end(),
                                          [&](auto& a, auto& b) { return value(a) < value(b); });
    Require(value(*largest) <= kMaxSum - sums[k], "knapsack: with option '", largest->name,
            "' of class '", c.name, "' the ", k == 0 ? "losses" : "costs",
            " can sum to more than 2^61");
    sums[k] += value(*largest);
  }
}

// The item of option j of `c`, or that of classes merged before it with this one's added.
void AddOption(const KnapsackOption& option, Item& item) {
  item.loss += option.loss;
  for (size_t b = 0; b < option.costs.size(); ++b) item.costs[b] += option.costs[b];
}

void CheckTied(const KnapsackClass& first, const KnapsackClass& c) {
  Require(std::equal(c.options.begin(), c.options.end(), first.options.begin(), first.options.end(),
                     [](auto& a, auto& b) { return a.name == b.name; }),
          "knapsack: classes '", first.name, "' and '", c.name, "' are tied by '", c.tie,
          "' but do not have the same options");
}

bool Dominates(const Item& a, const Item& b, size_t budget_count) {
  bool all = a.loss <= b.loss;
  for (size_t k = 0; k < budget_count; ++k) all &= a.costs[k] <= b.costs[k];
  return all;
}

}  // namespace

void DropDominated(std::vector<Item>& items, size_t budget_count) {
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    if (a.costs != b.costs) return a.costs < b.costs;
    return a.loss != b.loss ? a.loss < b.loss : a.option < b.option;
  });
  size_t kept = 0;
  for (const Item& item : items) {
    const auto dominates = [&](const Item& other) { return Dominates(other, item, budget_count); };
    if (budget_count == 1 ? kept > 0 && dominates(items[kept - 1])
                          : std::any_of(items.begin(), items.begin() + kept, dominates))
      continue;
    items[kept++] = item;
  }
  items.resize(kept);
}

Costs SmallestCosts(const Problem& problem) {
  Costs sums{};
  for (const auto& items : problem.classes)
    for (size_t b = 0; b < problem.budget_count; ++b)
      sums[b] += std::min_element(items.begin(), items.end(), [b](const Item& x, const Item& y) {
                   return x.costs[b] < y.costs[b];
                 })->costs[b];
  return sums;
}

Problem MakeProblem(const std::vector<KnapsackClass>& classes,
                    const std::vector<int64_t>& budgets) {
  Require(!classes.empty(), "knapsack: there are no classes");
  Require(!budgets.empty() && budgets.size() <= kMaxBudgets, "knapsack: got ", budgets.size(),
          " budgets, needs 1 to ", kMaxBudgets);
  Problem problem{budgets.size(), {}, {}, {}};
  for (size_t b = 0; b < budgets.size(); ++b) {
    Require(budgets[b] >= 0, "knapsack: budget ", b, " is negative: ", budgets[b]);
    problem.budgets[b] = std::min(budgets[b], kMaxSum);
  }

  std::vector<int64_t> sums(1 + budgets.size());
  std::unordered_map<std::string, std::pair<int, const KnapsackClass*>> ties;
  std::vector<std::vector<bool>> excluded;
  for (const KnapsackClass& c : classes) {
    Require(!c.options.empty(), "knapsack: class '", c.name, "' has no options");
    for (const KnapsackOption& option : c.options) CheckOption(c, option, budgets.size());
    AddLargest(c, sums);
    int merged = static_cast<int>(problem.classes.size());
    if (!c.tie.empty()) {
      const auto [tie, is_new] = ties.try_emplace(c.tie, merged, &c);
      if (!is_new) CheckTied(*tie->second.second, c);
      merged = tie->second.first;
    }
    problem.class_of.push_back(merged);
    if (merged == static_cast<int>(problem.classes.size())) {
      problem.classes.emplace_back(c.options.size(), Item{0, {}, 0});
      excluded.emplace_back(c.options.size(), false);
    }
    for (size_t j = 0; j < c.options.size(); ++j) {
      AddOption(c.options[j], problem.classes[merged][j]);
      problem.classes[merged][j].option = static_cast<int>(j);
      if (c.options[j].excluded) excluded[merged][j] = true;
    }
  }

  for (size_t l = 0; l < problem.classes.size(); ++l) {
    auto& items = problem.classes[l];
    std::erase_if(items, [&](const Item& item) { return excluded[l][item.option]; });
    if (items.empty()) {
      const auto first =
          std::find(problem.class_of.begin(), problem.class_of.end(), static_cast<int>(l));
      throw UsageError(Cat("knapsack: every option of class '",
                           classes[first - problem.class_of.begin()].name,
                           "' is excluded, by it or by classes tied to it"));
    }
    DropDominated(items, budgets.size());
  }
  return problem;
}

}  // namespace mezzo
