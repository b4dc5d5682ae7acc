#include "mezzo/solver/completion.h"

#include <algorithm>
#include <numeric>

namespace mezzo {
namespace {

constexpr int64_t kNever = int64_t{1} << 61;  // a loss that no choice reaches

}  // namespace

Completion::Completion(const Hulls& hulls, const Relaxation& relaxation)
    : hulls_(hulls),
      relaxation_(relaxation),
      previous_(hulls.steps.size() + 2),
      next_(hulls.steps.size() + 2),
      removed_(hulls.steps.size() + 2, false) {
  std::iota(previous_.begin() + 1, previous_.end(), 0);
  std::iota(next_.begin(), next_.end(), 1);
}

void Completion::Remove(int class_index) {
  for (const int step : hulls_.steps_of[class_index]) {
    const size_t node = step + 1;
    next_[previous_[node]] = next_[node];
    previous_[next_[node]] = previous_[node];
    removed_[node] = true;
  }
}

size_t Completion::First() const {
  size_t node = relaxation_.split + 1;
  while (removed_[node]) node = next_[node];
  return node;
}

void Completion::Segments(int64_t low, int64_t high, Int128 window,
                          std::vector<Segment>& segments) const {
  const auto useless = [&](int64_t room, int64_t loss) {
    return static_cast<Int128>(relaxation_.cost) * loss +
               static_cast<Int128>(relaxation_.gain) * room >
           window;
  };
  segments.clear();
  const size_t first = First(), end = next_.size() - 1;
  int64_t room = 0, loss = 0;
  size_t node = first;
  for (; node != end && room <= high && !useless(room, loss); node = next_[node]) {
    const HullStep& step = hulls_.steps[node - 1];
    segments.push_back({room, loss, step.gain, step.cost});
    room += step.cost;
    loss -= step.gain;
  }
  segments.push_back({room, node == end ? loss : kNever, 0, 1});
  std::reverse(segments.begin(), segments.end());
  room = loss = 0;
  for (node = previous_[first]; node != 0 && room > low && !useless(room, loss);
       node = previous_[node]) {
    const HullStep& step = hulls_.steps[node - 1];
    room -= step.cost;
    loss += step.gain;
    segments.push_back({room, loss, step.gain, step.cost});
  }
}

int64_t Completion::Fill(int64_t& room, std::vector<int>& items) const {
  int64_t loss = 0;
  size_t node = First();
  while (room < 0) {
    node = previous_[node];
    const HullStep& step = hulls_.steps[node - 1];
    items[step.class_index] = step.from;
    room += step.cost;
    loss += step.gain;
  }
  for (; node != next_.size() - 1; node = next_[node]) {
    const HullStep& step = hulls_.steps[node - 1];
    if (items[step.class_index] != step.from || step.cost > room) continue;
    items[step.class_index] = step.to;
    room -= step.cost;
    loss -= step.gain;
  }
  return loss;
}

}  // namespace mezzo
