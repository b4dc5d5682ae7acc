#include "mezzo/base/temporaries.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>

namespace mezzo {
namespace {

constexpr int kSlots = 64;   // at once; more than that are not removed by a signal
constexpr int kDeepest = 8;  // folders within folders
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

// All that the handler touches: lock-free atomics and async-signal-safe calls.
struct Slot {
  std::atomic<const char*> path;
  std::atomic<pid_t> owner;  // a forked child has its parent's slots too, but not its files
};
Slot registry[kSlots];

// getdents64 and not readdir, which allocates. Other threads may still be making files in the
// folder, so it is read until it can be removed.
void RemoveTree(int parent, const char* name, int depth) {
  if (::unlinkat(parent, name, 0) == 0 || depth == 0) return;
  const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  alignas(dirent64) char entries[2048];
  for (int pass = 0; pass < 100; ++pass) {
    ::lseek(fd, 0, SEEK_SET);
    for (ssize_t n; (n = ::getdents64(fd, entries, sizeof(entries))) > 0;)
      for (ssize_t at = 0; at < n;) {
        const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
        const std::string_view file = entry->d_name;
        if (file != "." && file != "..") RemoveTree(fd, entry->d_name, depth - 1);
        at += entry->d_reclen;
      }
    if (::unlinkat(parent, name, AT_REMOVEDIR) == 0) break;
  }
  ::close(fd);
}

void RemoveTemporaries(int signal) {
  for (Slot& slot : registry)
    if (const char* path = slot.path.exchange(nullptr); path && slot.owner == ::getpid())
      RemoveTree(AT_FDCWD, path, kDeepest);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void InstallHandlers() {
  struct sigaction action {};
  action.sa_handler = RemoveTemporaries;
  for (const int signal : kSignals) ::sigaddset(&action.sa_mask, signal);
  for (const int signal : kSignals) {
    struct sigaction present {};
    if (::sigaction(signal, nullptr, &present) == 0 && present.sa_handler == SIG_DFL)
      ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace

void RemovedBySignal::Add(const std::string& path) {
  static std::once_flag once;
  std::call_once(once, InstallHandlers);
  for (int i = 0; i < kSlots; ++i) {
    const char* empty = nullptr;
    if (!registry[i].path.compare_exchange_strong(empty, path.c_str())) continue;
    registry[i].owner = ::getpid();
    slot_ = i;
    return;
  }
}

void RemovedBySignal::Release() {
  if (slot_ >= 0) registry[std::exchange(slot_, -1)].path = nullptr;
}

}  // namespace mezzo
