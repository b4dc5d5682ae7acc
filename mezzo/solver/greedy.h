// One budget: the classes' lower hulls, the greedy along them, and the linear relaxation, which it
// solves.
//
// Of a class's options only the corners of the lower convex hull of (cost, loss) matter to the
// relaxation (Sinha & Zoltners 1979). Start from each class's cheapest option and take the hulls'
// steps by descending gain per cost, gain = loss given up, until the budget ends: that is the
// relaxation's optimum, with at most one class between two options (the split), and -gain/cost of
// the split step is the optimal multiplier (Dyer 1984, Zemel 1984). Rounded down it is the greedy
// of arXiv 2110.06554; ours goes on with later steps that still fit.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/solver/problem.h"

namespace mezzo {

// From one corner of a class's hull to the next: `cost` dearer, `gain` less loss, both positive.
struct HullStep {
  int64_t cost;
  int64_t gain;
  int class_index;
  int from, to;  // items
};

// a gains more per cost than b
inline bool Steeper(const HullStep& a, const HullStep& b) {
  return static_cast<Int128>(a.gain) * b.cost > static_cast<Int128>(b.gain) * a.cost;
}

struct Hulls {
  int64_t cost = 0, loss = 0;   // of every class's cheapest option, its item 0
  std::vector<HullStep> steps;  // by descending gain per cost; within a class from cheap to dear
  std::vector<std::vector<int>> steps_of;  // for each class where its steps are
};

Hulls MakeHulls(const Problem& problem);

// Where the budget cuts the steps. Those before `split` are taken; their choice fits, leaves
// `room`, and loses gain * room / cost more than the relaxation's optimum.
struct Relaxation {
  size_t split = 0;  // hulls.steps.size() if all fit
  int64_t room = 0, loss = 0;
  int64_t gain = 0,
          cost = 1;        // the optimal multiplier as a fraction: the split step's, 0 if all fit
  std::vector<int> items;  // for each class
};

// `budget` is at least hulls.cost.
Relaxation Relax(const Hulls& hulls, int64_t budget);

// The relaxation's optimum rounded up: no choice that fits loses less.
inline int64_t LowerBound(const Relaxation& r) {
  return CeilDivide(static_cast<Int128>(r.loss) * r.cost - static_cast<Int128>(r.gain) * r.room,
                    r.cost);
}

// Takes every step that fits after all the earlier ones of its class.
Choice Greedy(const Hulls& hulls, int64_t budget);

}  // namespace mezzo
