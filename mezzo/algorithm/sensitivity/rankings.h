// What each candidate precision of each layer costs, by the rules that are in use: ours and those
// of others, to choose by and to compare.
//
//   fisher         1/2 E <g, dW>^2                          arXiv 2110.06554 (sensitivity.h)
//   hawq           mean of the second derivative's trace * |dW|^2    HAWQ-V2, arXiv 1911.03852
//   auto-quantize  E sum (g_y dy)^2                         NVIDIA ModelOpt's AutoQuantize
//   sqnr           |dW|^2 / |W|^2
//   eagl           entropy of the weights' codes that is lost        EAGL, arXiv 2211.08427
//   ompq           orthogonality of the layer's features    OMPQ, arXiv 2109.07865
//
// Scores are to be minimized in sum; scores of different rules have nothing in common.
#pragma once

#include <string>
#include <vector>

#include "mezzo/algorithm/sensitivity/sensitivity.h"

namespace mezzo {

using Scores = std::vector<std::vector<double>>;  // by layer and candidate

// A layer with its candidates; `deltas` as in WeightDeltas.
struct RankedLayer {
  std::string node;
  Tensor weight;
  std::vector<Tensor> deltas;
  std::vector<double> bits;       // of a weight, by candidate
  std::vector<double> entropies;  // of its codes, bits a weight, by candidate
};

Scores FisherScores(const std::vector<LayerSensitivity>& measured);
Scores HawqScores(const std::vector<RankedLayer>& layers,
                  const std::vector<LayerSensitivity>& measured);
// Needs LayerSensitivity::outputs.
Scores AutoQuantizeScores(const std::vector<LayerSensitivity>& measured);
Scores SqnrScores(const std::vector<RankedLayer>& layers);
Scores EaglScores(const std::vector<RankedLayer>& layers);
// From the outputs of the layers on `count` samples.
Scores OmpqScores(const Graph& graph, const std::vector<RankedLayer>& layers,
                  const SampleFn& sample, size_t count, const Threads& threads);

// Spearman's rank correlation; equal numbers share their mean rank. NaN for fewer than two.
double RankCorrelation(const std::vector<double>& a, const std::vector<double>& b);

// sum of squares
double SquaredNorm(const Tensor& t);

}  // namespace mezzo
