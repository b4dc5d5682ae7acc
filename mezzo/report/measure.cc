#include "mezzo/report/measure.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <vector>

namespace mezzo {
namespace {

using Clock = std::chrono::steady_clock;

// What follows `key` and a colon in a file of /proc; empty if nothing does.
std::string ProcField(const char* path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (!line.starts_with(key) || colon == line.npos) continue;
    const size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == line.npos ? "" : line.substr(begin);
  }
  return "";
}

double RunMilliseconds(const Session& session, const TensorMap& inputs) {
  const Stopwatch watch;
  session.Run(inputs);
  return watch.Seconds() * 1e3;
}

}  // namespace

double Median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<int64_t>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

std::string CpuName() {
  const std::string name = ProcField("/proc/cpuinfo", "model name");
  return name.empty() ? "unknown processor" : name;
}

double PeakMemoryBytes() {
  return 1024 * std::strtod(ProcField("/proc/self/status", "VmHWM").c_str(), nullptr);
}

std::pair<double, double> MedianLatencies(const Session& a, const Session& b,
                                          const TensorMap& inputs, double seconds) {
  a.Run(inputs);
  b.Run(inputs);
  std::vector<double> first, second;
  for (double spent = 0; first.size() < 3 || spent < 1000 * seconds;) {
    first.push_back(RunMilliseconds(a, inputs));
    second.push_back(RunMilliseconds(b, inputs));
    spent += first.back() + second.back();
  }
  return {Median(first), Median(second)};
}

void StageClock::Charge() {
  const auto now = Clock::now();
  if (!stages_.empty())
    stages_[present_].seconds += std::chrono::duration<double>(now - since_).count();
  since_ = now;
}

void StageClock::Begin(const std::string& name) {
  Charge();
  for (present_ = 0; present_ < stages_.size(); ++present_)
    if (stages_[present_].name == name) return;
  stages_.push_back({name, 0});
}

std::vector<ReportStage> StageClock::Stages() {
  Charge();
  return stages_;
}

}  // namespace mezzo
