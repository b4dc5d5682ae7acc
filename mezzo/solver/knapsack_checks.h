// Second opinions for tests, which share no code with the solver: all choices tried, and a checker
// of certificates.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "mezzo/solver/knapsack.h"

namespace mezzo::knapsack_checks {

__extension__ using Int128 = __int128;
using Classes = std::vector<KnapsackClass>;
using Budgets = std::vector<int64_t>;

constexpr int64_t kNone = -1;

// The least loss of all choices that fit, one after the other; kNone if none does.
inline int64_t BruteForce(const Classes& classes, Budgets left, size_t l = 0,
                          std::map<std::string, size_t> tied = {}) {
  if (l == classes.size()) return 0;
  const KnapsackClass& c = classes[l];
  int64_t least = kNone;
  for (size_t j = 0; j < c.options.size(); ++j) {
    if (c.options[j].excluded) continue;
    if (tied.contains(c.tie) && tied[c.tie] != j) continue;
    Budgets next = left;
    bool fits = true;
    for (size_t b = 0; b < left.size(); ++b) fits &= (next[b] -= c.options[j].costs[b]) >= 0;
    if (!fits) continue;
    auto tied_next = tied;
    if (!c.tie.empty()) tied_next[c.tie] = j;
    const int64_t rest = BruteForce(classes, next, l + 1, tied_next);
    if (rest != kNone && (least == kNone || c.options[j].loss + rest < least))
      least = c.options[j].loss + rest;
  }
  return least;
}

inline Int128 Priced(const KnapsackOption& o, const KnapsackCertificate& c) {
  Int128 sum = static_cast<Int128>(c.denominator) * o.loss;
  for (size_t b = 0; b < o.costs.size(); ++b)
    sum += static_cast<Int128>(c.multipliers[b]) * o.costs[b];
  return sum;
}

// Checks from the definitions what an answer claims without search, for classes without ties.
// `relaxed` becomes the certificate's sum times its denominator.
inline bool BoundHolds(const Classes& classes, const Budgets& budgets, const KnapsackAnswer& a,
                       Int128& relaxed) {
  const auto& [multipliers, denominator, bound] = a.certificate;
  bool good = denominator > 0;
  Budgets costs(budgets.size());
  int64_t loss = 0;
  relaxed = 0;
  for (size_t l = 0; l < classes.size(); ++l) {
    const KnapsackOption& chosen = classes[l].options[a.choice[l]];
    Int128 least = Priced(chosen, a.certificate);
    for (const KnapsackOption& o : classes[l].options)
      if (!o.excluded) least = std::min(least, Priced(o, a.certificate));
    relaxed += least;
    good &= !chosen.excluded;
    loss += chosen.loss;
    for (size_t b = 0; b < budgets.size(); ++b) costs[b] += chosen.costs[b];
  }
  for (size_t b = 0; b < budgets.size(); ++b) {
    good &= multipliers[b] >= 0 && costs[b] <= budgets[b];
    relaxed -= static_cast<Int128>(multipliers[b]) * budgets[b];
  }
  good &= static_cast<Int128>(bound - 1) * denominator <
          relaxed;  // bound = relaxed / denominator, rounded up
  return good && loss == a.loss && costs == a.costs && bound <= a.lower_bound &&
         a.lower_bound <= loss;
}

// Whether no choice loses less than `loss`: repeats a search that trusts the multipliers alone.
// With r, how far an option lies above its class's minimum of Priced, a choice has denominator *
// loss = relaxed + its r + multipliers . (what it leaves of the budgets), so those that lose less
// have few options to take.
inline bool NothingIsBetter(Classes classes, const Budgets& budgets, const KnapsackAnswer& a,
                            Int128 relaxed) {
  const Int128 window = static_cast<Int128>(a.loss - 1) * a.certificate.denominator - relaxed;
  std::map<Budgets, Int128> sums{{budgets, 0}};  // what is left of the budgets: the least sum of r
  std::vector<Int128> least;
  Budgets most(budgets.size());  // what the classes to come can cost
  for (KnapsackClass& c : classes) {
    std::erase_if(c.options, [](const KnapsackOption& o) { return o.excluded; });
    Int128 lowest = Priced(c.options[0], a.certificate);
    for (const KnapsackOption& o : c.options) lowest = std::min(lowest, Priced(o, a.certificate));
    std::erase_if(c.options, [&](const KnapsackOption& o) {
      return Priced(o, a.certificate) - lowest > window;
    });
    least.push_back(lowest);
  }
  const auto dearest = [](const KnapsackClass& c, size_t b) {
    int64_t cost = 0;
    for (const KnapsackOption& o : c.options) cost = std::max(cost, o.costs[b]);
    return cost;
  };
  std::vector<size_t> order(classes.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](size_t x, size_t y) { return dearest(classes[x], 0) > dearest(classes[y], 0); });
  for (const KnapsackClass& c : classes)
    for (size_t b = 0; b < budgets.size(); ++b) most[b] += dearest(c, b);
  for (const size_t l : order) {
    for (size_t b = 0; b < budgets.size(); ++b) most[b] -= dearest(classes[l], b);
    std::map<Budgets, Int128> next;
    for (const KnapsackOption& o : classes[l].options)
      for (const auto& [before, r_before] : sums) {
        const Int128 r = r_before + Priced(o, a.certificate) - least[l];
        Budgets left = before;
        Int128 priced = r;
        bool fits = true;
        for (size_t b = 0; b < budgets.size(); ++b) {
          fits &= (left[b] -= o.costs[b]) >= 0;
          priced += static_cast<Int128>(a.certificate.multipliers[b]) *
                    std::max<int64_t>(0, left[b] - most[b]);
        }
        if (!fits || priced > window) continue;
        const auto [it, is_new] = next.emplace(left, r);
        if (!is_new) it->second = std::min(it->second, r);
      }
    sums = std::move(next);
  }
  return sums.empty();
}

inline bool Certified(const Classes& classes, const Budgets& budgets, const KnapsackAnswer& a) {
  Int128 relaxed = 0;
  if (!BoundHolds(classes, budgets, a, relaxed) || a.proven != (a.loss == a.lower_bound))
    return false;
  return !a.proven || a.certificate.bound == a.loss ||
         NothingIsBetter(classes, budgets, a, relaxed);
}

}  // namespace mezzo::knapsack_checks
