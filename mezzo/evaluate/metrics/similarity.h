// Sentence similarity: samples 2i and 2i+1 are a pair with a score. The output is an embedding (1,
// width), or one a token (1, tokens, width), of which the mean is taken over the tokens whose
// attention_mask is not 0.
#pragma once

#include <span>

#include "mezzo/evaluate/metric.h"

namespace mezzo {

// Value: Spearman's rank correlation between the pairs' cosines and their scores; n: pairs.
// Standard error: 1.03 (1 - r^2) / sqrt(n - 3), after Fieller, Hartley and Pearson (1957).
std::unique_ptr<Metric> MakeSimilarity(const MetricOptions& options);

// Equal values share the mean of their ranks. NaN if one side is constant or there are fewer than
// two.
double Spearman(std::span<const double> a, std::span<const double> b);

}  // namespace mezzo
