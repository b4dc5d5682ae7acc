#include "mezzo/solver/core.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdlib>
#include <limits>

#include "mezzo/solver/completion.h"

namespace mezzo {
namespace {

constexpr size_t kFirstCore = 16;
constexpr int64_t kInfinity = std::numeric_limits<int64_t>::max();

// Costs and losses are differences from the split choice.
struct State {
  int64_t cost, loss;
};

struct Option {
  Int128 reduced;  // r times relaxation.cost
  int64_t cost, loss;
  int item;
};

struct Origin {
  uint32_t parent;  // in the list before
  int item;         // of the class that was decided
};

// Partial choices over the classes that were inserted, none dominated: by ascending cost and
// descending loss.
struct StateList {
  StateList(const Hulls& hulls, const Relaxation& relaxation) : rest(hulls, relaxation) {}

  struct Layer {
    int class_index;
    std::vector<Origin> origins;  // for each state
  };
  std::vector<State> states{{0, 0}};
  std::vector<Layer> layers;
  Completion rest;  // all of the core that is not in this list

  void Trace(size_t state, std::vector<int>& items) const {
    for (size_t k = layers.size(); k-- > 0;) {
      const Origin& origin = layers[k].origins[state];
      items[layers[k].class_index] = origin.item;
      state = origin.parent;
    }
  }
};

struct Candidate {
  State state;
  Origin origin;
};

class CoreSearch {
 public:
  CoreSearch(const Problem& problem, const Hulls& hulls, const Relaxation& relaxation,
             Choice incumbent, const KnapsackLimits& limits)
      : hulls_(hulls),
        split_(relaxation),
        limits_(limits),
        best_(std::move(incumbent)),
        budget_(problem.budgets[0]) {
    deadline_ = std::chrono::steady_clock::now() + std::chrono::duration<double>(limits.seconds);
    options_.resize(problem.classes.size());
    for (size_t l = 0; l < options_.size(); ++l)
      AddOptions(problem.classes[l], static_cast<int>(l));
    std::sort(open_.begin(), open_.end(), [](auto& a, auto& b) {
      return a.reduced != b.reduced ? a.reduced < b.reduced : a.class_index < b.class_index;
    });
  }

  SearchResult Run() {
    int64_t lower_bound = LowerBound(split_);
    for (size_t k = kFirstCore; best_.loss > lower_bound; k *= 2) {
      int64_t target = best_.loss - 1;
      if (k < open_.size()) target = std::min(target, LossAbove(open_[k].reduced) - 1);
      if (target < lower_bound) continue;
      if (!Enumerate(target, lower_bound)) break;
      lower_bound = std::min(best_.loss, target + 1);
    }
    return {std::move(best_), lower_bound, states_};
  }

 private:
  // A class that could leave its split item, and by what option with the least r.
  struct Open {
    Int128 reduced;
    int64_t cost;
    int class_index;
  };

  void AddOptions(const std::vector<Item>& items, int l) {
    const Item& base = items[split_.items[l]];
    Open open{-1, 0, l};
    for (size_t j = 0; j < items.size(); ++j) {
      const int64_t cost = items[j].costs[0] - base.costs[0], loss = items[j].loss - base.loss;
      const Int128 reduced =
          static_cast<Int128>(split_.cost) * loss + static_cast<Int128>(split_.gain) * cost;
      options_[l].push_back({reduced, cost, loss, static_cast<int>(j)});
      if (static_cast<int>(j) != split_.items[l] && (open.reduced < 0 || reduced < open.reduced))
        open = {reduced, std::abs(cost), l};
    }
    if (open.reduced >= 0) open_.push_back(open);
  }

  // The least loss of a choice that lies `reduced` or more above the relaxation's optimum.
  int64_t LossAbove(Int128 reduced) const {
    return split_.loss +
           CeilDivide(reduced - static_cast<Int128>(split_.gain) * split_.room, split_.cost);
  }

  // What `reduced` can at most be in a choice of loss <= target.
  Int128 Window() const {
    return static_cast<Int128>(split_.cost) * target_ +
           static_cast<Int128>(split_.gain) * split_.room;
  }

  // Finds the best choice if it loses no more than `target`. False: a limit ended it.
  bool Enumerate(int64_t target, int64_t lower_bound) {
    target_ = target - split_.loss;
    const auto end = std::partition_point(open_.begin(), open_.end(),
                                          [&](auto& o) { return o.reduced <= Window(); });
    StateList dear(hulls_, split_);
    for (auto it = end; it != open_.end(); ++it) dear.rest.Remove(it->class_index);
    StateList cheap = dear;
    std::vector<Open> core(open_.begin(), end);
    std::sort(
        core.begin(), core.end(), [](const Open& a, const Open& b) {  // octaves of cost, then r
          const auto octave = [](const Open& o) {
            return std::bit_width(static_cast<uint64_t>(o.cost));
          };
          if (octave(a) != octave(b)) return octave(a) > octave(b);
          return a.reduced != b.reduced ? a.reduced < b.reduced : a.class_index < b.class_index;
        });

    Join(dear, cheap);
    for (size_t first = 0, last = core.size(); first < last && best_.loss > lower_bound;) {
      const bool to_dear = dear.states.size() <= cheap.states.size();
      StateList& list = to_dear ? dear : cheap;
      if (!Insert(list, core[to_dear ? first++ : --last].class_index)) return false;
      if (list.states.empty()) break;
      Join(dear, cheap);
    }
    return true;
  }

  // Decides a class: every state with every option, as far as the result may still improve on the
  // incumbent.
  bool Insert(StateList& list, int class_index) {
    list.rest.Remove(class_index);
    std::vector<Option> options = options_[class_index];
    const int base = split_.items[class_index];
    std::erase_if(options, [&](const Option& o) { return o.reduced > Window() && o.item != base; });
    const auto [least, most] = std::minmax_element(
        options.begin(), options.end(), [](auto& a, auto& b) { return a.cost < b.cost; });
    list.rest.Segments(split_.room - list.states.back().cost - most->cost,
                       split_.room - list.states.front().cost - least->cost, Window(), segments_);

    std::swap(
        *std::find_if(options.begin(), options.end(), [&](auto& o) { return o.item == base; }),
        options.back());
    streams_.resize(std::max(streams_.size(), options.size()));
    filled_ = false;
    size_t count = 0;
    for (size_t o = 0; o < options.size(); ++o) {
      if (o + 1 == options.size() && count == 0 && !filled_)
        return true;  // no state can leave the split item
      Extend(list.states, options[o], streams_[o]);
      count += streams_[o].size();
      if (states_ + static_cast<int64_t>(count) > limits_.states) return false;
    }
    if (filled_) TakeFilling(list, class_index);
    Merge(options.size(), count, class_index, list);
    return std::chrono::steady_clock::now() < deadline_;
  }

  // The states that `option` makes of `states`, without those whose bound is above the target.
  // Notes the best one if it is filled with whole steps.
  void Extend(const std::vector<State>& states, const Option& option,
              std::vector<Candidate>& stream) {
    stream.clear();
    auto segment = segments_.begin();
    for (size_t i = 0; i < states.size(); ++i) {
      const State state{states[i].cost + option.cost, states[i].loss + option.loss};
      const int64_t room = split_.room - state.cost;
      while (segment != segments_.end() && segment->begin > room) ++segment;
      if (segment == segments_.end()) break;  // from here on nothing fits
      const int64_t excess = state.loss + segment->loss - target_;
      const Candidate candidate{state, {static_cast<uint32_t>(i), option.item}};
      if (excess <= 0) {
        filled_ = true;
        filling_ = candidate;
        target_ += excess - 1;
      }
      if (static_cast<Int128>(excess) * segment->cost <=
          static_cast<Int128>(segment->gain) * (room - segment->begin))
        stream.push_back(candidate);
    }
  }

  void TakeFilling(const StateList& list, int class_index) {
    std::vector<int> items = split_.items;
    list.Trace(filling_.origin.parent, items);
    items[class_index] = filling_.origin.item;
    int64_t room = split_.room - filling_.state.cost;
    const int64_t loss = filling_.state.loss + list.rest.Fill(room, items);
    Take(std::move(items), loss, split_.room - room);
  }

  void Take(std::vector<int> items, int64_t loss, int64_t cost) {
    best_ = {std::move(items), split_.loss + loss, {budget_ - split_.room + cost}};
    target_ = loss - 1;
  }

  // Makes the streams, each sorted, the list's new states; dominated ones are dropped.
  void Merge(size_t stream_count, size_t count, int class_index, StateList& list) {
    std::vector<std::pair<const Candidate*, const Candidate*>> heads;
    for (size_t o = 0; o < stream_count; ++o)
      if (!streams_[o].empty())
        heads.emplace_back(streams_[o].data(), streams_[o].data() + streams_[o].size());
    StateList::Layer layer{class_index, {}};
    layer.origins.reserve(count);
    list.states.clear();
    int64_t loss = kInfinity;
    while (!heads.empty()) {
      auto least = heads.begin();
      for (auto it = heads.begin() + 1; it != heads.end(); ++it)
        if (it->first->state.cost < least->first->state.cost) least = it;
      const Candidate& next = *least->first;
      if (next.state.loss < loss) {
        loss = next.state.loss;
        if (!list.states.empty() && list.states.back().cost == next.state.cost) {
          list.states.pop_back();
          layer.origins.pop_back();
        }
        list.states.push_back(next.state);
        layer.origins.push_back(next.origin);
      }
      if (++least->first == least->second) heads.erase(least);
    }
    states_ += static_cast<int64_t>(list.states.size());
    list.layers.push_back(std::move(layer));
  }

  // Takes the best sum of a state of each list that fits, if it improves. Classes in neither stay
  // at the split.
  void Join(const StateList& a, const StateList& b) {
    int64_t loss = target_ + 1;
    size_t best_i = 0, best_j = 0;
    size_t j = b.states.size();  // one past the dearest that fits
    for (size_t i = 0; i < a.states.size(); ++i) {
      while (j > 0 && b.states[j - 1].cost > split_.room - a.states[i].cost) --j;
      if (j == 0) break;
      if (const int64_t sum = a.states[i].loss + b.states[j - 1].loss; sum < loss) {
        loss = sum;
        best_i = i;
        best_j = j - 1;
      }
    }
    if (loss > target_) return;
    std::vector<int> items = split_.items;
    a.Trace(best_i, items);
    b.Trace(best_j, items);
    Take(std::move(items), loss, a.states[best_i].cost + b.states[best_j].cost);
  }

  const Hulls& hulls_;
  const Relaxation& split_;
  const KnapsackLimits& limits_;
  Choice best_;
  int64_t budget_;
  std::chrono::time_point<std::chrono::steady_clock, std::chrono::duration<double>> deadline_;
  std::vector<std::vector<Option>> options_;  // for each class
  std::vector<Open> open_;                    // by ascending r
  int64_t target_ = 0;  // what is searched for: at most this loss above the split's
  int64_t states_ = 0;

  std::vector<Segment> segments_;
  std::vector<std::vector<Candidate>> streams_;  // one for each option
  bool filled_ = false;
  Candidate filling_{};
};

}  // namespace

SearchResult SearchCore(const Problem& problem, const Hulls& hulls, const Relaxation& relaxation,
                        Choice incumbent, const KnapsackLimits& limits) {
  return CoreSearch(problem, hulls, relaxation, std::move(incumbent), limits).Run();
}

}  // namespace mezzo
