#include "mezzo/solver/repair.h"

#include <algorithm>
#include <cmath>

namespace mezzo {
namespace {

constexpr int kRounds = 8;

struct Change {
  double rank;
  size_t class_index;
  int item;
};

}  // namespace

bool Repair(const ClassItems& classes, const Costs& room, size_t budget_count,
            const Multipliers& multipliers, std::vector<int>& items) {
  Costs left = room, unit{};
  for (size_t l = 0; l < classes.size(); ++l)
    for (size_t b = 0; b < budget_count; ++b) left[b] -= (*classes[l])[items[l]].costs[b];
  for (size_t b = 0; b < budget_count; ++b) unit[b] = std::max<int64_t>(1, std::abs(left[b]));
  const auto excess = [&](const Item* from, const Item* to) {  // of all budgets, after the change
    double sum = 0;
    for (size_t b = 0; b < budget_count; ++b) {
      const int64_t after = left[b] - (from == nullptr ? 0 : to->costs[b] - from->costs[b]);
      sum += static_cast<double>(std::max<int64_t>(0, -after)) / static_cast<double>(unit[b]);
    }
    return sum;
  };
  const auto priced = [&](const Item& from, const Item& to, bool with_loss) {
    Costs costs{};
    for (size_t b = 0; b < budget_count; ++b) costs[b] = to.costs[b] - from.costs[b];
    return static_cast<double>(multipliers.Priced(with_loss ? to.loss - from.loss : 0, costs));
  };

  // One round: all changes of finite rank, by rank, if it is still finite when it is their turn.
  const auto apply = [&](const auto& rank, const auto& done) {
    std::vector<Change> changes;
    for (size_t l = 0; l < classes.size(); ++l)
      for (size_t j = 0; j < classes[l]->size(); ++j)
        if (const double value = rank((*classes[l])[items[l]], (*classes[l])[j]); value < HUGE_VAL)
          changes.push_back({value, l, static_cast<int>(j)});
    std::stable_sort(changes.begin(), changes.end(),
                     [](auto& a, auto& b) { return a.rank < b.rank; });
    bool changed = false;
    for (const auto& [_, l, j] : changes) {
      if (done()) break;
      const Item &from = (*classes[l])[items[l]], &to = (*classes[l])[j];
      if (rank(from, to) == HUGE_VAL) continue;
      for (size_t b = 0; b < budget_count; ++b) left[b] -= to.costs[b] - from.costs[b];
      items[l] = j;
      changed = true;
    }
    return changed;
  };

  const auto fits = [&] { return excess(nullptr, nullptr) == 0; };
  const auto for_excess = [&](const Item& from, const Item& to) {
    const double now = excess(nullptr, nullptr), removed = now - excess(&from, &to);
    return removed > 1e-9 * now ? priced(from, to, true) / removed : HUGE_VAL;
  };
  for (int round = 0; round < kRounds && !fits(); ++round)
    if (!apply(for_excess, fits)) return false;
  if (!fits()) return false;

  const auto for_loss = [&](const Item& from, const Item& to) {
    if (to.loss >= from.loss || excess(&from, &to) > 0) return HUGE_VAL;
    return static_cast<double>(to.loss - from.loss) / std::max(1.0, priced(from, to, false));
  };
  for (int round = 0; round < kRounds; ++round)
    if (!apply(for_loss, [] { return false; })) break;
  return true;
}

}  // namespace mezzo
