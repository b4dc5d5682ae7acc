#include "mezzo/base/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace mezzo {
namespace {

bool IsTerminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDERR_FILENO) && kind && std::string(kind) != "dumb";
}

}  // namespace

Progress::Progress(std::string label, size_t total)
    : label_(std::move(label)), total_(total), visible_(IsTerminal()) {}

Progress::~Progress() {
  if (visible_ && drawn_ != Clock::time_point{}) std::fputs("\r\033[K", stderr);
}

void Progress::Step(size_t n) {
  if (!visible_) return;
  std::lock_guard lock(mutex_);
  done_ += n;
  const auto now = Clock::now();
  if (done_ < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  const std::string line =
      Line(label_, done_, total_, std::chrono::duration<double>(now - start_).count());
  std::fprintf(stderr, "\r%s\033[K", line.c_str());
  std::fflush(stderr);
}

std::string Progress::Line(const std::string& label, size_t done, size_t total, double seconds) {
  done = std::min(done, total);
  const size_t percent = total == 0 ? 100 : done * 100 / total;
  std::string line = label + "  " + std::to_string(done) + "/" + std::to_string(total) + "  " +
                     std::to_string(percent) + "%";
  if (done == 0 || done == total) return line;
  const auto left =
      static_cast<long>(seconds / static_cast<double>(done) * static_cast<double>(total - done));
  char clock[48];
  if (left >= 3600)
    std::snprintf(clock, sizeof clock, "  %ld:%02ld:%02ld left", left / 3600, left / 60 % 60,
                  left % 60);
  else
    std::snprintf(clock, sizeof clock, "  %ld:%02ld left", left / 60, left % 60);
  return line + clock;
}

}  // namespace mezzo
