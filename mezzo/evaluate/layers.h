// How far the values inside one model are from those of another, by name.
#pragma once

#include <string>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/evaluate/dataset.h"
#include "mezzo/evaluate/evaluator.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

struct LayerDifference {
  std::string value;
  double sqnr_db = 0;  // 10 log10(sum a^2 / sum (a - b)^2) over all samples; 200 for equal values
  double cosine = 0;
  double max_error = 0;
};

struct LayerComparison {
  std::vector<LayerDifference> layers;  // in the order of a's graph: float32 values that both have
  std::vector<SampleScore> samples;     // by the SQNR of the outputs, worst first
};

// Both graphs may hold Q/DQ pairs: they run in integers, and values that are codes there are
// compared by what they stand for. Memory: a run of each, and kCompareBytes of values for every
// thread; samples with more run several times.
inline constexpr size_t kCompareBytes = size_t{48} << 20;
LayerComparison CompareLayers(const Graph& a, const Graph& b, const Dataset& dataset,
                              const std::vector<size_t>& samples, const Threads& threads);

}  // namespace mezzo
