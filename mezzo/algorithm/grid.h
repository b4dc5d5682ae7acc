// From a histogram to the grid of an activation.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/plan.h"
#include "mezzo/base/threads.h"
#include "mezzo/calibrate/calibrators.h"

namespace mezzo {

// A rule and a kind of grid.
struct GridRule {
  std::string calibration;  // calibrators.h
  bool symmetric;
  std::string Name() const { return calibration + (symmetric ? " symmetric" : ""); }
};

// Values that are never negative get all codes above zero in any case: half of a symmetric grid
// would be idle, and engines fuse the Relu before it only where it starts at zero. `live`, if
// given, is all that the range needs to cover.
ActivationPlan MakeGrid(const Histogram& h, GridRule rule, IntFormat format, const Range* live);

// By GridRule::Name and by tensor.
using RuleGrids = std::map<std::string, std::map<std::string, ActivationPlan>>;
RuleGrids MakeGrids(const std::map<std::string, Histogram>& histograms,
                    const std::map<std::string, Range>& live, const std::vector<GridRule>& rules,
                    IntFormat format, const Threads& threads);

}  // namespace mezzo
