#include "mezzo/algorithm/sensitivity/rankings.h"

namespace mezzo {

Scores FisherScores(const std::vector<LayerSensitivity>& measured) {
  Scores scores;
  for (const LayerSensitivity& m : measured) scores.push_back(m.full);
  return scores;
}

}  // namespace mezzo
