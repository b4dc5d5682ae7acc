#include "mezzo/algorithm/mixed/refine.h"

#include <algorithm>
#include <cmath>

namespace mezzo {
namespace {

size_t OptionNamed(const LayerChoices& layer, const std::string& name) {
  size_t i = 0;
  while (layer.options[i].name != name) ++i;
  return i;
}

}  // namespace

Refinement RefineChoice(const std::vector<Choice>& starts, const std::vector<LayerChoices>& choices,
                        const std::vector<Budget>& limits, size_t rounds,
                        const std::function<double(const std::vector<size_t>&)>& measure,
                        const std::function<void()>& step) {
  const double before = measure(starts.at(0).options);
  Refinement r{starts[0], before, before};
  for (size_t i = 1; i < starts.size(); ++i) {
    const double loss = measure(starts[i].options);
    if (loss < r.after) r.after = loss, r.best = starts[i];
  }
  std::vector<LayerChoices> layers = choices;
  Choice present = r.best;
  double now = r.after;
  for (size_t round = 0; round < rounds; ++round) {
    for (size_t l = 0; l < layers.size(); ++l) {
      step();
      const LayerOption& option = layers[l].options[present.options[l]];
      if (option.name == "float32") continue;
      const size_t rich = OptionNamed(layers[l], option.name == "int8" ? "float32" : "int8");
      const double predicted = option.loss - layers[l].options[rich].loss;
      if (predicted <= 0.002 * present.loss) continue;  // too little to be seen
      std::vector<size_t> richer = present.options;
      richer[l] = rich;
      const double ratio = std::clamp((now - measure(richer)) / predicted, 0.25, 4.0);
      for (LayerOption& o : layers[l].options) o.loss *= std::sqrt(ratio);
    }
    present = ChooseOptions(layers, limits);
    now = measure(present.options);
    if (now < r.after) r.after = now, r.best = present;
  }
  r.best.answer = starts[0].answer;
  r.best.loss_unit = starts[0].loss_unit;
  r.best.loss = 0;
  for (size_t l = 0; l < choices.size(); ++l)
    r.best.loss += choices[l].options[r.best.options[l]].loss;
  return r;
}

}  // namespace mezzo
