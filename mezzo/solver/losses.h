// Measured sensitivities as the whole numbers that the solver takes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "mezzo/solver/knapsack.h"

namespace mezzo {

// Sets the losses of all options to round(sensitivity / unit), ties to even, and returns the unit,
// the power of two with which the classes' largest sensitivities sum to more than 2^51 and at most
// 2^52 (1 if all are 0; no less than 2^-1074, the smallest double).
//
// sensitivities[l][j] belongs to option j of class l; those of excluded options count too. A
// rounded loss is off by at most unit / 2, so a choice's sum by classes * unit / 2, and the optimum
// of the rounded problem is within classes * unit of the real one: for 2,000 classes 2^-40 of the
// sum of the largest. Throws UsageError that names class and option if a sensitivity is NaN,
// infinite or negative, or if there are not as many as options.
double SetLosses(std::span<const std::vector<double>> sensitivities,
                 std::vector<KnapsackClass>& classes);

}  // namespace mezzo
