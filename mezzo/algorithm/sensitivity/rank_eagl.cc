// EAGL (Bablani et al. 2022, https://arxiv.org/abs/2211.08427): what a layer gains from more bits
// is the entropy of its quantized weights. Departure, for more than two precisions: a candidate
// costs the entropy that the layer's richest candidate has more.
#include <algorithm>

#include "mezzo/algorithm/sensitivity/rankings.h"

namespace mezzo {

Scores EaglScores(const std::vector<RankedLayer>& layers) {
  Scores scores;
  for (const RankedLayer& l : layers) {
    scores.emplace_back();
    const double most = *std::max_element(l.entropies.begin(), l.entropies.end());
    for (const double e : l.entropies) scores.back().push_back(most - e);
  }
  return scores;
}

}  // namespace mezzo
