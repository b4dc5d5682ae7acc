#include "mezzo/algorithm/mixed/choose.h"

#include <algorithm>
#include <cmath>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

// Losses become multiples of the largest sum over 2^kLossBits: the sum of the rounding errors of n
// layers is below n of these units.
constexpr int kLossBits = 52;

double LossUnit(const std::vector<LayerChoices>& layers) {
  double most = 0;
  for (const LayerChoices& layer : layers) {
    double largest = 0;
    for (const LayerOption& o : layer.options) {
      Require(std::isfinite(o.loss) && o.loss >= 0, "layer ", layer.name, ", ", o.name,
              ": its sensitivity is ", o.loss, ", needs a finite number from 0 on");
      largest = std::max(largest, o.loss);
    }
    most += largest;
  }
  return most > 0 ? std::ldexp(most, -kLossBits) : 1;
}

std::vector<KnapsackClass> Classes(const std::vector<LayerChoices>& layers, double unit) {
  std::vector<KnapsackClass> classes;
  for (const LayerChoices& layer : layers) {
    KnapsackClass c{layer.name, {}, layer.tie};
    for (const LayerOption& o : layer.options)
      c.options.push_back(
          {o.name, static_cast<int64_t>(std::llround(o.loss / unit)), o.costs, o.excluded});
    classes.push_back(std::move(c));
  }
  return classes;
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
  const double unit = LossUnit(layers);
  KnapsackAnswer answer = SolveKnapsack(Classes(layers, unit), Limits(budgets), limits);
  std::string smallest;
  for (size_t b = 0; b < budgets.size(); ++b)
    smallest += Cat(b ? ", " : "", budgets[b].name, " ", budgets[b].limit, " (at least ",
                    answer.smallest_budgets[b] + budgets[b].base, ")");
  Require(answer.feasible, "no choice of precisions fits: ", smallest,
          budgets.size() > 1 ? "; each least alone, not together" : "");
  Choice c = Collect(layers, budgets, answer.choice);
  c.answer = std::move(answer);
  c.loss_unit = unit;
  return c;
}

Choice GreedyChoice(const std::vector<LayerChoices>& layers, const std::vector<Budget>& budgets) {
  const double unit = LossUnit(layers);
  KnapsackLimits none;
  none.states = 0;
  none.seconds = 0;
  const KnapsackAnswer answer = SolveKnapsack(Classes(layers, unit), Limits(budgets), none);
  Require(answer.greedy.feasible, "the greedy finds no choice of precisions that fits");
  return Collect(layers, budgets, answer.greedy.choice);
}

std::vector<std::string> TiesOfSharedInputs(const std::vector<std::string>& inputs) {
  std::map<std::string, int> readers;
  for (const std::string& in : inputs) ++readers[in];
  std::vector<std::string> ties;
  for (const std::string& in : inputs) ties.push_back(readers[in] > 1 ? in : "");
  return ties;
}

}  // namespace mezzo
