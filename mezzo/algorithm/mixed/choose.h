// From what each precision of each layer costs and loses to the choice that fits hard budgets:
// METHODS 3. Works on names and numbers alone, so that networks and language models share it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "mezzo/solver/knapsack.h"

namespace mezzo {

struct LayerOption {
  std::string name;            // "int8", "nf4/32", "float32"
  double bits = 0;             // of a weight as stored, scales included
  int64_t bytes = 0;           // of the file, in any case
  std::vector<int64_t> costs;  // of each budget
  double loss = 0;             // what it adds to the output loss
  bool excluded = false;
};

struct LayerChoices {
  std::string name;
  std::vector<LayerOption> options;
  std::string tie;  // layers with the same one take the same option
};

struct Budget {
  std::string name;   // "size", "bops", "latency"
  int64_t limit = 0;  // for the layers together with `base`
  int64_t base = 0;   // what all the rest costs
};

struct Choice {
  std::vector<size_t> options;  // by layer
  double loss = 0;              // the sum of the layers'
  std::vector<int64_t> costs;   // of each budget, base included
  KnapsackAnswer answer;
  double loss_unit = 1;  // of the answer's whole numbers
};

// The best choice that fits. Throws UsageError that names the layer and option of a loss that is
// NaN, infinite or negative; and, if nothing fits, that says the smallest budget that would.
Choice ChooseOptions(const std::vector<LayerChoices>& layers, const std::vector<Budget>& budgets,
                     const KnapsackLimits& limits = {});

// The published greedy's choice, which is not optimal; `answer` is empty. None if it finds none.
std::optional<Choice> GreedyChoice(const std::vector<LayerChoices>& layers,
                                   const std::vector<Budget>& budgets);

// The convex hull of cost and loss over the whole range, from the cheapest choice on; each option
// has one cost.
struct HullPoint {
  int64_t cost;  // `base` included
  double loss;
};
std::vector<HullPoint> Hull(const std::vector<LayerChoices>& layers, int64_t base);

// Layers that read the same value, by layer: a tie for each such set of two and more.
std::vector<std::string> TiesOfSharedInputs(const std::vector<std::string>& inputs);

}  // namespace mezzo
