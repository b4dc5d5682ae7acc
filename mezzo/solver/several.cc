#include "mezzo/solver/several.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>

#include "mezzo/solver/prices.h"
#include "mezzo/solver/repair.h"

namespace mezzo {
namespace {

constexpr size_t kFirstCore = 16;
constexpr size_t kPrices = 8;       // multipliers that are tested at once
constexpr size_t kNewPrices = 4;    // at most, for each decided class
constexpr size_t kFewStates = 64;   // for so few no new multipliers are sought
constexpr size_t kNeighbours = 48;  // states before one that are asked if they dominate it

// Costs and losses are differences from the choice of least priced sum.
struct State {
  Costs costs;
  int64_t loss;
};

struct Origin {
  uint32_t parent;  // in the list before
  int item;         // of the class that was decided
};

struct Candidate {
  State state;
  Origin origin;
  double bound;  // roughly what its completions lose at least
};

struct Layer {
  int class_index;
  std::vector<Origin> origins;
};

// A class that could leave its item of least priced sum.
struct Open {
  Int128 reduced;  // the least r of another item
  Int128 cost;     // the priced costs that item changes
  int class_index;
};

class SeveralSearch {
 public:
  SeveralSearch(const Problem& problem, const Multipliers& multipliers, Choice incumbent,
                const KnapsackLimits& limits)
      : problem_(problem),
        budget_count_(problem.budget_count),
        root_(multipliers),
        limits_(limits),
        best_(std::move(incumbent)),
        base_(CheapestItems(problem, multipliers)),
        room_(problem.budgets) {
    deadline_ = std::chrono::steady_clock::now() + std::chrono::duration<double>(limits.seconds);
    changes_.resize(base_.size());
    for (size_t l = 0; l < base_.size(); ++l) AddChanges(static_cast<int>(l));
    std::sort(open_.begin(), open_.end(), [](const Open& a, const Open& b) {
      return a.reduced != b.reduced ? a.reduced < b.reduced : a.class_index < b.class_index;
    });
  }

  SearchResult Run() {
    int64_t lower_bound = std::min(best_.loss, LossAbove(0));
    for (size_t k = kFirstCore; best_.loss > lower_bound; k *= 2) {
      int64_t target = best_.loss - 1;
      if (k < open_.size()) target = std::min(target, LossAbove(open_[k].reduced) - 1);
      if (target < lower_bound) continue;
      if (!Enumerate(target)) break;
      lower_bound = std::min(best_.loss, target + 1);
    }
    return {std::move(best_), lower_bound, states_};
  }

 private:
  void AddChanges(int l) {
    const auto& items = problem_.classes[l];
    const Item& base = items[base_[l]];
    base_loss_ += base.loss;
    for (size_t b = 0; b < budget_count_; ++b) room_[b] -= base.costs[b];
    Open open{-1, 0, l};
    for (size_t j = 0; j < items.size(); ++j) {
      Item change{items[j].loss - base.loss, {}, static_cast<int>(j)};
      for (size_t b = 0; b < budget_count_; ++b)
        change.costs[b] = items[j].costs[b] - base.costs[b];
      changes_[l].push_back(change);
      const Int128 reduced = root_.Priced(change.loss, change.costs);
      if (static_cast<int>(j) != base_[l] && (open.reduced < 0 || reduced < open.reduced))
        open = {reduced, PricedSize(change), l};
    }
    if (open.reduced >= 0) open_.push_back(open);
  }

  Int128 PricedSize(const Item& change) const {
    Int128 sum = 0;
    for (size_t b = 0; b < budget_count_; ++b)
      sum += static_cast<Int128>(root_.prices[b]) * std::abs(change.costs[b]);
    return sum;
  }

  int64_t LossAbove(Int128 reduced) const {
    const int64_t above = CeilDivide(reduced - root_.Priced(0, room_), root_.scale);
    return std::min(base_loss_ + above, int64_t{1} << 62);
  }

  // What a priced sum can at most be in a choice of loss <= target.
  Int128 Window(const Multipliers& multipliers) const { return multipliers.Priced(target_, room_); }

  // Finds the best choice if it loses no more than `target`. False: a limit ended it.
  bool Enumerate(int64_t target) {
    target_ = target - base_loss_;
    undecided_.clear();
    core_.clear();
    for (const Open& open : open_) {
      if (open.reduced > Window(root_)) break;
      core_.push_back(open);
    }
    std::sort(core_.begin(), core_.end(),
              [](const Open& a, const Open& b) {  // octaves of cost ascending, then r
                const auto octave = [](const Open& o) {
                  return o.cost > 0 ? std::ilogb(static_cast<double>(o.cost)) : -1;
                };
                if (octave(a) != octave(b)) return octave(a) < octave(b);
                return a.reduced != b.reduced ? a.reduced > b.reduced
                                              : a.class_index > b.class_index;
              });
    core_items_.assign(core_.size(), {});
    least_ = {};
    for (size_t i = 0; i < core_.size(); ++i) {
      for (const Item& change : changes_[core_[i].class_index])
        if (root_.Priced(change.loss, change.costs) <= Window(root_))
          core_items_[i].push_back(change);
      for (size_t b = 0; b < budget_count_; ++b) least_[b] += LeastCost(core_items_[i], b);
    }
    for (const auto& items : core_items_) undecided_.push_back(&items);
    prices_ = {Price(root_, {})};
    states_now_ = {{{}, 0}};
    layers_.clear();
    TakeBest();
    while (!undecided_.empty() && !states_now_.empty())
      if (!Decide()) return false;
    return true;
  }

  static int64_t LeastCost(const std::vector<Item>& items, size_t b) {
    int64_t least = items[0].costs[b];
    for (const Item& item : items) least = std::min(least, item.costs[b]);
    return least;
  }

  // Decides the last of the undecided classes, the dearest.
  bool Decide() {
    const std::vector<Item>& items = *undecided_.back();
    const int class_index = core_[undecided_.size() - 1].class_index;
    undecided_.pop_back();
    for (Price& price : prices_) price.Add(-price.LeastPriced(items));
    for (size_t b = 0; b < budget_count_; ++b) least_[b] -= LeastCost(items, b);

    candidates_.clear();
    for (const Item& item : items) {
      if (!Extend(item)) return false;
    }
    DropDominatedCandidates();
    if (!undecided_.empty()) Tighten(class_index);
    states_now_.clear();
    Layer layer{class_index, {}};
    for (const Candidate& c : candidates_) {
      states_now_.push_back(c.state);
      layer.origins.push_back(c.origin);
    }
    layers_.push_back(std::move(layer));
    states_ += static_cast<int64_t>(candidates_.size());
    TakeBest();
    return states_ < limits_.states && InTime();
  }

  // Every state with this item, as far as the result may come to the target.
  bool Extend(const Item& item) {
    if (root_.Priced(item.loss, item.costs) > Window(root_)) return true;
    std::vector<Int128> limits;
    for (const Price& price : prices_) limits.push_back(Window(price.multipliers) - price.rest);
    for (size_t i = 0; i < states_now_.size(); ++i) {
      Candidate c{states_now_[i], {static_cast<uint32_t>(i), item.option}, 0};
      c.state.loss += item.loss;
      bool fits = true;
      for (size_t b = 0; b < budget_count_; ++b) {
        c.state.costs[b] += item.costs[b];
        fits &= c.state.costs[b] + least_[b] <= room_[b];
      }
      for (size_t p = prices_.size(); fits && p-- > 0;)
        fits = prices_[p].multipliers.Priced(c.state.loss, c.state.costs) <= limits[p];
      if (fits) candidates_.push_back(c);
    }
    return states_ + 4 * static_cast<int64_t>(candidates_.size()) <=
               limits_.states &&  // they are larger
           InTime();
  }

  bool InTime() const { return std::chrono::steady_clock::now() < deadline_; }

  void DropDominatedCandidates() {
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      for (size_t k = 0; k < kMaxBudgets; ++k)
        if (a.state.costs[k] != b.state.costs[k]) return a.state.costs[k] < b.state.costs[k];
      if (a.state.loss != b.state.loss) return a.state.loss < b.state.loss;
      return a.origin.item != b.origin.item ? a.origin.item < b.origin.item
                                            : a.origin.parent < b.origin.parent;
    });
    size_t kept = 0;
    for (const Candidate& c : candidates_) {
      bool dominated = false;
      for (size_t k = kept; k > 0 && k + kNeighbours > kept && !dominated; --k) {
        const State& other = candidates_[k - 1].state;
        dominated = other.loss <= c.state.loss;
        for (size_t b = 1; b < budget_count_; ++b) dominated &= other.costs[b] <= c.state.costs[b];
      }
      if (!dominated) candidates_[kept++] = c;
    }
    candidates_.resize(kept);
  }

  // New multipliers for the candidate that looks best, as long as they show that many are not good
  // enough.
  void Tighten(int class_index) {
    size_t few = kFewStates;  // for so few the time is better spent on deciding
    for (const auto* items : undecided_) few += items->size() / 4;
    if (candidates_.size() <= few) return;
    for (Candidate& c : candidates_) {
      c.bound = -HUGE_VAL;
      for (const Price& price : prices_)
        c.bound = std::max(c.bound, price.Bound(c.state.loss, c.state.costs, room_));
    }
    for (size_t k = 0; k < kNewPrices && candidates_.size() > few && InTime(); ++k) {
      const Candidate best = *std::min_element(candidates_.begin(), candidates_.end(),
                                               [](auto& a, auto& b) { return a.bound < b.bound; });
      Costs room = room_;
      for (size_t b = 0; b < budget_count_; ++b) room[b] -= best.state.costs[b];
      const Price price(FindMultipliers(undecided_, room, budget_count_), undecided_);
      if (k == 0) TakeRepaired(best, price.multipliers, room, class_index);
      const size_t before = candidates_.size();
      std::erase_if(candidates_, [&](Candidate& c) {
        c.bound = std::max(c.bound, price.Bound(c.state.loss, c.state.costs, room_));
        return price.multipliers.Priced(c.state.loss, c.state.costs) >
               Window(price.multipliers) - price.rest;
      });
      if (prices_.size() == kPrices) prices_.erase(prices_.begin() + 1);
      prices_.push_back(price);
      if (candidates_.size() > before - before / 20) break;
    }
  }

  // Completes a candidate by the undecided items of least priced sum, repaired; takes that if it
  // improves.
  void TakeRepaired(const Candidate& c, const Multipliers& multipliers, const Costs& room,
                    int class_index) {
    std::vector<int> completion;
    for (const auto* items : undecided_)
      completion.push_back(
          static_cast<int>(std::min_element(items->begin(), items->end(),
                                            [&](auto& a, auto& b) {
                                              return multipliers.Priced(a.loss, a.costs) <
                                                     multipliers.Priced(b.loss, b.costs);
                                            }) -
                           items->begin()));
    if (!Repair(undecided_, room, budget_count_, multipliers, completion)) return;
    State state = c.state;
    for (size_t i = 0; i < undecided_.size(); ++i) Add((*undecided_[i])[completion[i]], state);
    if (state.loss > target_) return;
    std::vector<int> items = base_;
    Trace(c.origin.parent, items);
    items[class_index] = c.origin.item;
    for (size_t i = 0; i < undecided_.size(); ++i)
      items[core_[i].class_index] = (*undecided_[i])[completion[i]].option;
    Take(std::move(items), state);
  }

  void Add(const Item& item, State& state) const {
    state.loss += item.loss;
    for (size_t b = 0; b < budget_count_; ++b) state.costs[b] += item.costs[b];
  }

  // Takes the best state that fits with the undecided classes as they are, if it improves.
  void TakeBest() {
    size_t best = states_now_.size();
    int64_t loss = target_ + 1;
    for (size_t i = 0; i < states_now_.size(); ++i) {
      bool fits = states_now_[i].loss < loss;
      for (size_t b = 0; b < budget_count_; ++b) fits &= states_now_[i].costs[b] <= room_[b];
      if (!fits) continue;
      best = i;
      loss = states_now_[i].loss;
    }
    if (best == states_now_.size()) return;
    std::vector<int> items = base_;
    Trace(best, items);
    Take(std::move(items), states_now_[best]);
  }

  void Trace(size_t state, std::vector<int>& items) const {
    for (size_t k = layers_.size(); k-- > 0;) {
      const Origin& origin = layers_[k].origins[state];
      items[layers_[k].class_index] = origin.item;
      state = origin.parent;
    }
  }

  void Take(std::vector<int> items, const State& state) {
    best_ = {std::move(items), base_loss_ + state.loss, problem_.budgets};
    for (size_t b = 0; b < budget_count_; ++b) best_.costs[b] -= room_[b] - state.costs[b];
    target_ = state.loss - 1;
  }

  const Problem& problem_;
  size_t budget_count_;
  Multipliers root_;
  const KnapsackLimits& limits_;
  Choice best_;
  std::chrono::time_point<std::chrono::steady_clock, std::chrono::duration<double>> deadline_;
  std::vector<int> base_;  // for each class its item of least priced sum
  int64_t base_loss_ = 0;  // of those
  Costs room_;             // and what they leave of the budgets, maybe negative
  std::vector<std::vector<Item>>
      changes_;             // for each class its items as differences from base; option = item
  std::vector<Open> open_;  // by ascending r
  int64_t target_ = 0;      // what is searched for: at most this loss above base's
  int64_t states_ = 0;

  std::vector<Open> core_;  // in the order of `core_items_`; the last is decided first
  std::vector<std::vector<Item>> core_items_;  // what may lie within the target
  ClassItems undecided_;                       // the first of core_items_
  Costs least_{};                              // what they change costs at least
  std::vector<Price> prices_;                  // the first has the root's multipliers
  std::vector<State> states_now_;
  std::vector<Layer> layers_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::vector<int> CheapestItems(const Problem& problem, const Multipliers& multipliers) {
  std::vector<int> cheapest;
  for (const auto& items : problem.classes) {
    const auto least =
        std::min_element(items.begin(), items.end(), [&](const Item& a, const Item& b) {
          return multipliers.Priced(a.loss, a.costs) < multipliers.Priced(b.loss, b.costs);
        });
    cheapest.push_back(static_cast<int>(least - items.begin()));
  }
  return cheapest;
}

int64_t LowerBound(const Problem& problem, const Multipliers& multipliers) {
  Int128 sum = -multipliers.Priced(0, problem.budgets);
  const std::vector<int> cheapest = CheapestItems(problem, multipliers);
  for (size_t l = 0; l < cheapest.size(); ++l) {
    const Item& item = problem.classes[l][cheapest[l]];
    sum += multipliers.Priced(item.loss, item.costs);
  }
  return CeilDivide(sum, multipliers.scale);
}

SearchResult SearchSeveral(const Problem& problem, const Multipliers& multipliers, Choice incumbent,
                           const KnapsackLimits& limits) {
  return SeveralSearch(problem, multipliers, std::move(incumbent), limits).Run();
}

}  // namespace mezzo
