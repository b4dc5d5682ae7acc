// HAWQ-V2 (Dong et al. 2019, https://arxiv.org/abs/1911.03852): Omega = mean(trace H) |Q(W) - W|^2.
// Departure: the trace is Hutchinson's estimate of the Gauss-Newton matrix's, E |J^T u|^2 over the
// probes, which needs no second backward pass.
#include "mezzo/algorithm/sensitivity/rankings.h"

namespace mezzo {

Scores HawqScores(const std::vector<RankedLayer>& layers,
                  const std::vector<LayerSensitivity>& measured) {
  Scores scores;
  for (size_t l = 0; l < layers.size(); ++l) {
    scores.emplace_back();
    const double mean = measured[l].trace / static_cast<double>(layers[l].weight.numel());
    for (const Tensor& d : layers[l].deltas) scores.back().push_back(mean * SquaredNorm(d));
  }
  return scores;
}

}  // namespace mezzo
