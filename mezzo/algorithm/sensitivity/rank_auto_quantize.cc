// AutoQuantize of NVIDIA's TensorRT Model Optimizer: the square of each output's change times the
// loss's gradient there, summed. It takes the outputs of a layer to be independent of each other.
#include "mezzo/algorithm/sensitivity/rankings.h"

namespace mezzo {

Scores AutoQuantizeScores(const std::vector<LayerSensitivity>& measured) {
  Scores scores;
  for (const LayerSensitivity& m : measured) scores.push_back(m.outputs);
  return scores;
}

}  // namespace mezzo
