// Several budgets: makes a choice that fits of one that nearly does, greedily.
#pragma once

#include <vector>

#include "mezzo/solver/multipliers.h"

namespace mezzo {

using ClassItems = std::vector<const std::vector<Item>*>;

// Changes `items` (for each class the index of an item), first by what costs least in loss +
// multipliers . costs for the excess that it takes away, until all budgets hold, then by what gains
// most loss for the priced costs and still fits. Changes are ranked, and made in that order, in a
// few rounds. False if the first part gets stuck.
bool Repair(const ClassItems& classes, const Costs& room, size_t budget_count,
            const Multipliers& multipliers, std::vector<int>& items);

}  // namespace mezzo
