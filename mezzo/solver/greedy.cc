#include "mezzo/solver/greedy.h"

#include <algorithm>

namespace mezzo {
namespace {

// The steps along the lower hull of one class, whose items grow in cost and fall in loss.
void AppendSteps(const std::vector<Item>& items, int class_index, std::vector<HullStep>& steps) {
  const size_t first = steps.size();
  for (int to = 1; to < static_cast<int>(items.size()); ++to) {
    const auto step_from = [&](int from) {
      return HullStep{items[to].costs[0] - items[from].costs[0], items[from].loss - items[to].loss,
                      class_index, from, to};
    };
    int from = 0;
    while (steps.size() > first) {  // a corner on the line to `to`, or above it, is none
      if (Steeper(steps.back(), step_from(steps.back().to))) {
        from = steps.back().to;
        break;
      }
      steps.pop_back();
    }
    steps.push_back(step_from(from));
  }
}

}  // namespace

Hulls MakeHulls(const Problem& problem) {
  Hulls hulls;
  const size_t n = problem.classes.size();
  for (size_t l = 0; l < n; ++l) {
    hulls.cost += problem.classes[l][0].costs[0];
    hulls.loss += problem.classes[l][0].loss;
    AppendSteps(problem.classes[l], static_cast<int>(l), hulls.steps);
  }
  std::stable_sort(hulls.steps.begin(), hulls.steps.end(), Steeper);
  hulls.steps_of.resize(n);
  for (size_t k = 0; k < hulls.steps.size(); ++k)
    hulls.steps_of[hulls.steps[k].class_index].push_back(int(k));
  return hulls;
}

Relaxation Relax(const Hulls& hulls, int64_t budget) {
  Relaxation r{
      0, budget - hulls.cost, hulls.loss, 0, 1, std::vector<int>(hulls.steps_of.size(), 0)};
  for (; r.split < hulls.steps.size(); ++r.split) {
    const HullStep& step = hulls.steps[r.split];
    if (step.cost > r.room) {
      r.gain = step.gain;
      r.cost = step.cost;
      break;
    }
    r.room -= step.cost;
    r.loss -= step.gain;
    r.items[step.class_index] = step.to;
  }
  return r;
}

Choice Greedy(const Hulls& hulls, int64_t budget) {
  Choice choice{std::vector<int>(hulls.steps_of.size(), 0), hulls.loss, {hulls.cost}};
  for (const HullStep& step : hulls.steps) {
    if (choice.items[step.class_index] != step.from || step.cost > budget - choice.costs[0])
      continue;
    choice.items[step.class_index] = step.to;
    choice.costs[0] += step.cost;
    choice.loss -= step.gain;
  }
  return choice;
}

}  // namespace mezzo
