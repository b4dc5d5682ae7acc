// A choice corrected by measuring: predictions add layers up, this sees what they do to each other.
#pragma once

#include <functional>
#include <vector>

#include "mezzo/algorithm/mixed/choose.h"

namespace mezzo {

struct Refinement {
  Choice best;
  double before = 0, after = 0;  // measured, of the first start and of `best`
};

// Begins at the start that measures best. In each round every layer alone goes back to int8, or
// from there to float32, and what that gives back weighs the layer's predicted losses for the next
// choice; the best of all rounds stays. The answer is that of the first start, the solver's own
// for `layers`: what was proven is the prediction. `step` is told of each layer.
Refinement RefineChoice(const std::vector<Choice>& starts, const std::vector<LayerChoices>& layers,
                        const std::vector<Budget>& limits, size_t rounds,
                        const std::function<double(const std::vector<size_t>&)>& measure,
                        const std::function<void()>& step);

}  // namespace mezzo
