// --budget: hard limits as people write them.
#pragma once

#include <string>
#include <vector>

namespace mezzo {

struct BudgetText {
  std::string name;    // "size", "bops", "latency"
  double value = 0;    // bytes, bit operations, nanoseconds; or a share
  bool share = false;  // of the float model's
};

// "size=45%", "size=2.1MB", "bops=12%", "bops=30G", "latency=12ms". Throws UsageError.
BudgetText ParseBudget(const std::string& text);
// All of them; a name may come once.
std::vector<BudgetText> ParseBudgets(const std::vector<std::string>& texts);

}  // namespace mezzo
