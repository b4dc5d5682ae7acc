#include "mezzo/solver/front.h"

#include <limits>

#include "mezzo/solver/greedy.h"

namespace mezzo {

std::vector<int> KnapsackFront::Choice(size_t point) const {
  std::vector<int> choice = cheapest;
  for (size_t k = 0; k < ends[point]; ++k) choice[changes[k].class_index] = changes[k].option;
  return choice;
}

KnapsackFront Front(const std::vector<KnapsackClass>& classes) {
  const Problem problem = MakeProblem(classes, {0});
  const Hulls hulls = MakeHulls(problem);
  std::vector<std::vector<int>> members(problem.classes.size());
  for (size_t l = 0; l < classes.size(); ++l)
    members[problem.class_of[l]].push_back(static_cast<int>(l));

  KnapsackFront front;
  for (const int l : problem.class_of) front.cheapest.push_back(problem.classes[l][0].option);
  front.points.push_back({hulls.cost, hulls.loss, std::numeric_limits<double>::infinity()});
  front.ends.push_back(0);
  for (const HullStep& step : hulls.steps) {
    KnapsackFront::Point point = front.points.back();
    point.cost += step.cost;
    point.loss -= step.gain;
    point.multiplier = static_cast<double>(step.gain) / static_cast<double>(step.cost);
    for (const int l : members[step.class_index])
      front.changes.push_back({l, problem.classes[step.class_index][step.to].option});
    front.points.push_back(point);
    front.ends.push_back(front.changes.size());
  }
  return front;
}

std::vector<KnapsackAnswer> SolveKnapsackAt(const std::vector<KnapsackClass>& classes,
                                            const std::vector<int64_t>& budgets,
                                            const KnapsackLimits& limits) {
  std::vector<KnapsackAnswer> answers;
  for (const int64_t budget : budgets) answers.push_back(SolveKnapsack(classes, {budget}, limits));
  return answers;
}

}  // namespace mezzo
