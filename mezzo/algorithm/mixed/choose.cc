#include "mezzo/algorithm/mixed/choose.h"

#include <algorithm>

#include "mezzo/base/error.h"
#include "mezzo/solver/front.h"
#include "mezzo/solver/losses.h"

namespace mezzo {
namespace {

struct Rounded {
  std::vector<KnapsackClass> classes;
  double unit;
};

Rounded Round(const std::vector<LayerChoices>& layers) {
  Rounded r;
  std::vector<std::vector<double>> losses;
  for (const LayerChoices& layer : layers) {
    r.classes.push_back({layer.name, {}, layer.tie});
    losses.emplace_back();
    for (const LayerOption& o : layer.options) {
      r.classes.back().options.push_back({o.name, 0, o.costs, o.excluded});
      losses.back().push_back(o.loss);
    }
  }
  r.unit = SetLosses(losses, r.classes);
  return r;
}

std::vector<int64_t> Limits(const std::vector<Budget>& budgets) {
  std::vector<int64_t> limits;
  for (const Budget& b : budgets) limits.push_back(std::max<int64_t>(0, b.limit - b.base));
  return limits;
}

Choice Collect(const std::vector<LayerChoices>& layers, const std::vector<Budget>& budgets,
               const std::vector<int>& chosen) {
  Choice c;
  for (const Budget& b : budgets) c.costs.push_back(b.base);
  for (size_t l = 0; l < layers.size(); ++l) {
    const LayerOption& o = layers[l].options[chosen[l]];
    c.options.push_back(static_cast<size_t>(chosen[l]));
    c.loss += o.loss;
    for (size_t b = 0; b < budgets.size(); ++b) c.costs[b] += o.costs[b];
  }
  return c;
}

}  // namespace

Choice ChooseOptions(const std::vector<LayerChoices>& layers, const std::vector<Budget>& budgets,
                     const KnapsackLimits& limits) {
  const Rounded rounded = Round(layers);
  KnapsackAnswer answer = SolveKnapsack(rounded.classes, Limits(budgets), limits);
  for (const Budget& b : budgets)  // the rest alone is too much
    if (b.limit < b.base) answer.feasible = false;
  std::string smallest;
  for (size_t b = 0; b < budgets.size(); ++b)
    smallest += Cat(b ? ", " : "", budgets[b].name, " ", budgets[b].limit, " (at least ",
                    answer.smallest_budgets[b] + budgets[b].base, ")");
  Require(answer.feasible, "no choice of precisions fits: ", smallest,
          budgets.size() > 1 ? "; each least alone, not together" : "");
  Choice c = Collect(layers, budgets, answer.choice);
  c.answer = std::move(answer);
  c.loss_unit = rounded.unit;
  return c;
}

std::optional<Choice> GreedyChoice(const std::vector<LayerChoices>& layers,
                                   const std::vector<Budget>& budgets) {
  const KnapsackAnswer answer = SolveKnapsack(Round(layers).classes, Limits(budgets));
  if (!answer.greedy.feasible) return std::nullopt;
  return Collect(layers, budgets, answer.greedy.choice);
}

std::vector<HullPoint> Hull(const std::vector<LayerChoices>& layers, int64_t base) {
  const Rounded rounded = Round(layers);
  std::vector<HullPoint> hull;
  for (const KnapsackFront::Point& p : Front(rounded.classes).points)
    hull.push_back({p.cost + base, static_cast<double>(p.loss) * rounded.unit});
  return hull;
}

std::vector<std::string> TiesOfSharedInputs(const std::vector<std::string>& inputs) {
  std::map<std::string, int> readers;
  for (const std::string& in : inputs) ++readers[in];
  std::vector<std::string> ties;
  for (const std::string& in : inputs) ties.push_back(readers[in] > 1 ? in : "");
  return ties;
}

}  // namespace mezzo
