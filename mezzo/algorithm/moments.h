// Second moments of what layers multiply their weights with: H = sum over columns x of x x^T.
//
// A column is what meets one row of weights in one product: a pixel's window for a convolution, a
// row for a matrix product. Of each sample at most kColumns evenly spaced ones are taken.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mezzo/calibrate/collect.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

constexpr int64_t kColumns = 128;

struct Moments {
  int64_t depth = 0;    // of a column, in the order of WeightRows: (kernel position, input channel)
  int64_t columns = 0;  // that were added up
  std::vector<std::vector<float>> sums;     // by group: depth x depth, both halves
  std::vector<std::vector<double>> totals;  // by group: of the columns themselves, (depth)
};

// Calls `take` with each layer's moments (Conv, Gemm, and MatMul with a constant weight, by node
// name). Layers are taken a few at a time, so that their sums fit into `memory` bytes or are one
// layer's; each time the samples 0..count-1 run once, one after the other, and the sums do not
// depend on the number of threads.
void CollectMoments(const Graph& graph, const std::vector<std::string>& layers,
                    const SampleFn& sample, size_t count, size_t memory, const Threads& threads,
                    const std::function<void(const Node&, const Moments&)>& take);

}  // namespace mezzo
