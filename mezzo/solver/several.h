// Several budgets: the exact search.
//
// The plan is core.h's. r[l][j] is measured with the multipliers of the Lagrangian relaxation, the
// core grows by doubling, each size is searched to its end for all losses below the next r. There
// is one list of partial choices, and a class is decided for all of them at once: what loses and
// costs no less than another is dropped, and so is what no completion by the core's undecided
// classes can bring to the target. That is tested with a handful of multipliers, since partial
// choices differ in what they leave of each budget: those of the root, and new ones for the partial
// choice that looks best, which mostly show that it and its like are not.
#pragma once

#include "mezzo/solver/multipliers.h"

namespace mezzo {

// `multipliers` are those of the problem. `incumbent` fits, or has no items and a loss above the
// largest.
SearchResult SearchSeveral(const Problem& problem, const Multipliers& multipliers, Choice incumbent,
                           const KnapsackLimits& limits);

// What the multipliers prove: no choice that fits loses less. Above 2^61: none fits.
int64_t LowerBound(const Problem& problem, const Multipliers& multipliers);

// For each class the item of least priced sum.
std::vector<int> CheapestItems(const Problem& problem, const Multipliers& multipliers);

}  // namespace mezzo
