// What activations could be coded in, for measuring what each would cost. Only the 8-bit grid runs
// in integers; the others are simulated.
#pragma once

#include <string>
#include <vector>

#include "mezzo/algorithm/plan.h"
#include "mezzo/algorithm/sensitivity/sensitivity.h"

namespace mezzo {

// "8 bits", the plan's grid, first; then "4 bits" and "16 bits" over the same range, and "FP8",
// E4M3 with one scale that brings the range's end to 448.
std::vector<std::string> ActivationFormatNames();

// A value that the plan has a grid for, in each of these formats.
ActivationCandidates CodedActivation(const std::string& value, const ActivationPlan& plan,
                                     IntFormat format);

}  // namespace mezzo
