#include "mezzo/solver/knapsack.h"

#include <algorithm>

#include "mezzo/solver/core.h"
#include "mezzo/solver/greedy.h"
#include "mezzo/solver/repair.h"
#include "mezzo/solver/several.h"

namespace mezzo {
namespace {

std::vector<int> OptionsOf(const Problem& problem, const std::vector<int>& items) {
  std::vector<int> options;
  for (const int l : problem.class_of) options.push_back(problem.classes[l][items[l]].option);
  return options;
}

SearchResult SolveOneBudget(const Problem& problem, const KnapsackLimits& limits,
                            KnapsackAnswer& answer) {
  const Hulls hulls = MakeHulls(problem);
  const Relaxation relaxation = Relax(hulls, problem.budgets[0]);
  Choice greedy = Greedy(hulls, problem.budgets[0]);
  answer.greedy = {true, OptionsOf(problem, greedy.items), greedy.loss};
  answer.certificate = {{relaxation.gain}, relaxation.cost, LowerBound(relaxation)};
  return SearchCore(problem, hulls, relaxation, std::move(greedy), limits);
}

SearchResult SolveSeveralBudgets(const Problem& problem, const KnapsackLimits& limits,
                                 KnapsackAnswer& answer) {
  ClassItems classes;
  Choice greedy{{}, 1, {}};  // one more than the largest loss: fits nothing
  for (const auto& items : problem.classes) {
    classes.push_back(&items);
    greedy.loss += std::max_element(items.begin(), items.end(), [](auto& a, auto& b) {
                     return a.loss < b.loss;
                   })->loss;
  }
  Multipliers multipliers = FindMultipliers(classes, problem.budgets, problem.budget_count);
  for (size_t b = 0; b < problem.budget_count; ++b)  // so that the bound holds for the real budget
    if (problem.budgets[b] == kMaxSum) multipliers.prices[b] = 0;
  answer.certificate.multipliers.assign(multipliers.prices.begin(),
                                        multipliers.prices.begin() + problem.budget_count);
  answer.certificate.denominator = multipliers.scale;
  answer.certificate.bound = LowerBound(problem, multipliers);

  std::vector<int> items = CheapestItems(problem, multipliers);
  if (Repair(classes, problem.budgets, problem.budget_count, multipliers, items)) {
    greedy = {items, 0, {}};
    for (size_t l = 0; l < items.size(); ++l) {
      const Item& item = problem.classes[l][items[l]];
      greedy.loss += item.loss;
      for (size_t b = 0; b < problem.budget_count; ++b) greedy.costs[b] += item.costs[b];
    }
    answer.greedy = {true, OptionsOf(problem, items), greedy.loss};
  }
  return SearchSeveral(problem, multipliers, std::move(greedy), limits);
}

}  // namespace

KnapsackAnswer SolveKnapsack(const std::vector<KnapsackClass>& classes,
                             const std::vector<int64_t>& budgets, const KnapsackLimits& limits) {
  const Problem problem = MakeProblem(classes, budgets);
  KnapsackAnswer answer;
  const Costs smallest = SmallestCosts(problem);
  answer.smallest_budgets.assign(smallest.begin(), smallest.begin() + budgets.size());
  for (size_t b = 0; b < budgets.size(); ++b)
    if (smallest[b] > budgets[b]) {
      answer.proven = true;
      return answer;
    }
  const SearchResult result = budgets.size() == 1 ? SolveOneBudget(problem, limits, answer)
                                                  : SolveSeveralBudgets(problem, limits, answer);
  answer.feasible = !result.best.items.empty();
  answer.proven = result.lower_bound == result.best.loss;
  answer.lower_bound = result.lower_bound;
  answer.states = result.states;
  if (!answer.feasible) return answer;
  answer.choice = OptionsOf(problem, result.best.items);
  answer.loss = result.best.loss;
  answer.costs.assign(result.best.costs.begin(), result.best.costs.begin() + budgets.size());
  return answer;
}

}  // namespace mezzo
