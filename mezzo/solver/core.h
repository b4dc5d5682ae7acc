// One budget: the exact search over the core, the classes whose choice the relaxation leaves open.
//
// After D. Pisinger, A minimal algorithm for the multiple-choice knapsack problem (EJOR 83, 1995):
// dynamic programming over few classes around the split, partial choices kept only if their bound
// allows an improvement. Departures:
//  - The core grows by doubling, and each size is searched to its end. r[l][j], how far option j
//  lies above its
//    class's minimum in loss + lambda * cost, adds up: a choice that takes an option with r outside
//    the core loses at least bound + r. So searching the k classes of least r for all losses below
//    bound + r_(k+1) leaves nothing out, and raises the lower bound to there. The last search is up
//    to the incumbent.
//  - The bound of a partial choice is the whole relaxation of the core's undecided classes
//  (completion.h), not the
//    next slope; other classes stay as they are and lend it nothing. This is what keeps the lists
//    short.
//  - There are two lists, one that decides the dearest classes first, one the cheapest; a class
//  goes to the shorter
//    list. Their best sum that fits is found in one walk (Horowitz & Sahni 1974). Where many sums
//    come near the budget, as with loss = -cost, the optimum is met with the square root of the
//    partial choices.
#pragma once

#include "mezzo/solver/greedy.h"

namespace mezzo {

// `incumbent` is a choice that fits.
SearchResult SearchCore(const Problem& problem, const Hulls& hulls, const Relaxation& relaxation,
                        Choice incumbent, const KnapsackLimits& limits);

}  // namespace mezzo
