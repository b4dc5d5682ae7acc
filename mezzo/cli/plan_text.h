// mezzo plan of a language model.
#pragma once

#include <string>

#include "mezzo/cli/planner.h"
#include "mezzo/cli/quantize_text.h"

namespace mezzo {

struct PlanTextOptions {
  std::string data;
  size_t windows = 8, probes = 2;  // that sensitivity is measured on
  size_t evaluation_windows = 12;  // of the text behind what was calibrated on
  std::vector<int64_t> ranks;      // ascending, of recovery paths that layers in four bits may have
  uint64_t seed = 1;
  size_t threads = 0;
};

void PlanText(const PlannerOptions& planner, const PlanTextOptions& text,
              const LlmQuantizeOptions& how);

}  // namespace mezzo
