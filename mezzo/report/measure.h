// What a report says about the machine and the time models take on it.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "mezzo/report/report.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

// As the system calls the processor; "unknown processor" if it does not say.
std::string CpuName();

// The most memory this process held at once so far, in bytes; 0 if the system does not say.
double PeakMemoryBytes();

// Runs from when it is made.
class Stopwatch {
 public:
  double Seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// The upper one of the middle two; there must be one.
double Median(std::vector<double> v);

// Median milliseconds of one run of each. Runs alternate, so that both see the same machine, for
// about `seconds` in all and at least three times each, after one run to warm up.
std::pair<double, double> MedianLatencies(const Session& a, const Session& b,
                                          const TensorMap& inputs, double seconds = 2);

// Where the time goes: every second belongs to the stage that was begun last. Not thread-safe.
class StageClock {
 public:
  // Times of stages with the same name add up.
  void Begin(const std::string& name);
  // In the order in which they first began, the present one up to now.
  std::vector<ReportStage> Stages();

 private:
  using Clock = std::chrono::steady_clock;
  void Charge();

  std::vector<ReportStage> stages_;
  size_t present_ = 0;
  Clock::time_point since_;
};

}  // namespace mezzo
