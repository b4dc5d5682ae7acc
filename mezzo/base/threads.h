// A fixed pool of workers and one way to use it: split a range, run the parts, wait.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace mezzo {

// Workers sleep on a condition variable between jobs. Copies share the pool. A default-made
// Threads has no workers: everything runs on the caller.
class Threads {
 public:
  Threads() = default;
  explicit Threads(
      size_t count);  // the caller counts as one; 0 means every core the process may use

  size_t count() const;

  // Calls body(begin, end) on disjoint ranges that cover [0, n), none longer than needed to give
  // every thread work and none shorter than `grain` (but the last). Which thread runs what is not
  // defined, so a body's result must not depend on how [0, n) is cut. Calls from inside a body run
  // on the caller. The first exception that a body throws is thrown again here after all parts have
  // ended.
  void For(size_t n, size_t grain, const std::function<void(size_t, size_t)>& body) const;

  // body(i, worker) for every i, each its own part; worker < count() and no two run with the same
  // one at the same time.
  void Each(size_t n, const std::function<void(size_t, size_t)>& body) const;

 private:
  struct Pool;
  std::shared_ptr<Pool> pool_;
};

}  // namespace mezzo
