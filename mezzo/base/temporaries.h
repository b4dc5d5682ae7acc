// Files and folders that must not outlive the process: a signal that ends it removes them first.
#pragma once

#include <string>

namespace mezzo {

// Has SIGINT, SIGTERM, SIGHUP and SIGPIPE remove a file, or a folder with all in it, before they
// end the process as usual (a shell reads status 130 after SIGINT). Signals that the program
// handles or ignores itself are left alone.
class RemovedBySignal {
 public:
  RemovedBySignal() = default;  // nothing yet
  ~RemovedBySignal() { Release(); }
  RemovedBySignal(const RemovedBySignal&) = delete;
  RemovedBySignal& operator=(const RemovedBySignal&) = delete;

  // Once. The text must keep its address until Release().
  void Add(const std::string& path);
  // From now on a signal leaves the path alone: it is gone, or whole.
  void Release();

 private:
  int slot_ = -1;
};

}  // namespace mezzo
