// A progress line on standard error, drawn only if that is a terminal: "calibrating  120/500  24%
// 0:42 left".
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <string>

namespace mezzo {

// The line is wiped at the end, also by an exception. Step may be called from several threads.
class Progress {
 public:
  Progress(std::string label, size_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Step(size_t n = 1);

  // The text of the line; seconds since the start give the time left.
  static std::string Line(const std::string& label, size_t done, size_t total, double seconds);

 private:
  using Clock = std::chrono::steady_clock;
  const std::string label_;
  const size_t total_;
  const bool visible_;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  size_t done_ = 0;
  Clock::time_point drawn_;
};

}  // namespace mezzo
