// The noise of the weights alone, relative to their size.
#include "mezzo/algorithm/sensitivity/rankings.h"

namespace mezzo {

double SquaredNorm(const Tensor& t) {
  double sum = 0;
  for (const float v : t.span<float>()) sum += static_cast<double>(v) * v;
  return sum;
}

Scores SqnrScores(const std::vector<RankedLayer>& layers) {
  Scores scores;
  for (const RankedLayer& l : layers) {
    scores.emplace_back();
    const double signal = std::max(SquaredNorm(l.weight), 1e-30);
    for (const Tensor& d : l.deltas) scores.back().push_back(SquaredNorm(d) / signal);
  }
  return scores;
}

}  // namespace mezzo
