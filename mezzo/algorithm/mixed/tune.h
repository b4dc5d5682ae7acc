// Biases, or scales and biases, of a chosen plan fitted layer after layer on what the quantized
// layers before make: kept if that helps.
#pragma once

#include <functional>
#include <string>

#include "mezzo/algorithm/bias_correction.h"

namespace mezzo {

struct Tuned {
  Plan plan;
  Model model;       // the plan's
  std::string note;  // what was tried, and what it gave
};

// The best by `loss` of the plan as it is, with biases fitted, and with scales and biases.
Tuned TunePlan(const Model& prepared, Plan plan, const TuningSet& samples, size_t memory,
               const std::function<double(const Model&)>& loss, const Threads& threads);

}  // namespace mezzo
