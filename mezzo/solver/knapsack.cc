#include "mezzo/solver/knapsack.h"

#include <algorithm>

#include "mezzo/base/error.h"
#include "mezzo/solver/core.h"
#include "mezzo/solver/greedy.h"

namespace mezzo {
namespace {

std::vector<int> OptionsOf(const Problem& problem, const std::vector<int>& items) {
  std::vector<int> options;
  for (const int l : problem.class_of) options.push_back(problem.classes[l][items[l]].option);
  return options;
}

void SolveOneBudget(const Problem& problem, const KnapsackLimits& limits, KnapsackAnswer& answer) {
  const Hulls hulls = MakeHulls(problem);
  const Relaxation relaxation = Relax(hulls, problem.budgets[0]);
  Choice greedy = Greedy(hulls, problem.budgets[0]);
  answer.greedy = {true, OptionsOf(problem, greedy.items), greedy.loss};
  answer.certificate = {{relaxation.gain}, relaxation.cost, LowerBound(relaxation)};

  const SearchResult result = SearchCore(problem, hulls, relaxation, std::move(greedy), limits);
  answer.feasible = true;
  answer.proven = result.lower_bound == result.best.loss;
  answer.choice = OptionsOf(problem, result.best.items);
  answer.loss = result.best.loss;
  answer.costs = {result.best.costs[0]};
  answer.lower_bound = result.lower_bound;
  answer.states = result.states;
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
  Require(budgets.size() == 1, "knapsack: several budgets are not supported yet");
  SolveOneBudget(problem, limits, answer);
  return answer;
}

}  // namespace mezzo
