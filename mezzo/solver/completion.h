// What the undecided classes of a search can still do, relaxed linearly: a convex function of the
// room left to them.
//
//   F(room) = the least change of loss against the split choice when it may cost `room` more (less,
//   if negative)
//
// A partial choice that changes the loss by d and leaves `room` cannot end below d + F(room); with
// the steps that fit whole it ends at F of the last corner before `room`. Both come from one walk
// along the hulls' steps.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/solver/greedy.h"

namespace mezzo {

// F(room) = loss - gain * (room - begin) / cost, from `begin` up to the next segment.
struct Segment {
  int64_t begin, loss, gain, cost;
};

class Completion {
 public:
  Completion(const Hulls& hulls, const Relaxation& relaxation);

  void Remove(int class_index);  // it is decided

  // F over [low, high], by descending room. Left out is what is of no use: where loss * r.cost +
  // room * r.gain, which is least at room 0, is above `window`. Below the last segment nothing
  // fits.
  void Segments(int64_t low, int64_t high, Int128 window, std::vector<Segment>& segments) const;

  // Changes `items` of undecided classes from the split choice by whole steps that fit `room`, and
  // returns the change of loss. `room` is not below where F ends; on return it is what is left.
  int64_t Fill(int64_t& room, std::vector<int>& items) const;

 private:
  size_t First() const;  // the first step from the split on

  const Hulls& hulls_;
  const Relaxation& relaxation_;
  // Step k is node k + 1 of a list with an end at both sides. A removed node still leads to the
  // right.
  std::vector<uint32_t> previous_, next_;
  std::vector<bool> removed_;
};

}  // namespace mezzo
