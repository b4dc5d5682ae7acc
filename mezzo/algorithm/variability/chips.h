// Monte Carlo over chips: a network's figure on simulated arrays, for each mismatch and each chip.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "mezzo/graph/graph.h"
#include "mezzo/kernels/cim/cim.h"

namespace mezzo {

struct ChipTask {
  std::vector<float> sigmas;  // mismatch of the cells
  size_t chips = 1;           // drawn for each; the same chips for all
  uint64_t seed = 1;          // of the chips
  CimOptions options;         // all but sigma and chip
};

struct SigmaResult {
  float sigma = 0;
  std::vector<double> values;  // by chip; one if the chips do not differ
  double mean = 0;
  double deviation = 0;   // of the chips; NaN for one chip that stands for chips that differ
  double half_width = 0;  // of the mean's 95% confidence interval (Student's t); likewise
};

// True if two chips can give different results.
bool ChipsDiffer(const CimOptions& o);

// How many times SimulateChips asks for the figure.
size_t ChipRuns(const ChipTask& task);

// `lowered` gives the graph for a chip, and `figure` is asked for one on its arrays at a time;
// `step` is called after each. Results in the order of sigmas. Throws UsageError on no sigmas, no
// chips, or options out of range.
std::vector<SigmaResult> SimulateChips(const std::function<Graph(const CimOptions&)>& lowered,
                                       const ChipTask& task,
                                       const std::function<double(const Graph&)>& figure,
                                       const std::function<void()>& step = {});
std::vector<SigmaResult> SimulateChips(const Graph& lowered, const ChipTask& task,
                                       const std::function<double(const Graph&)>& figure,
                                       const std::function<void()>& step = {});

// The t that |T| of Student's distribution stays below with probability 0.95. At least one degree.
double StudentT95(size_t degrees);

}  // namespace mezzo
