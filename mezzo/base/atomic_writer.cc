// AtomicWriter of files.h, and the registry of temporaries that a signal removes.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <system_error>
#include <utility>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"

namespace mezzo {
namespace {

constexpr size_t kBuffer = size_t{1} << 20;
constexpr int kSlots = 64;  // writers open at once; more than that are not removed by a signal

// All that the handler touches: lock-free atomics and async-signal-safe calls.
std::atomic<const char*> registry[kSlots];
std::atomic<pid_t> registry_process;

void RemoveTemporaries(int signal) {
  // A child between fork and exec has the handler too, but the files are not its own.
  if (::getpid() == registry_process)
    for (auto& slot : registry)
      if (const char* path = slot.exchange(nullptr)) ::unlink(path);
  ::signal(signal, SIG_DFL);
  ::raise(signal);
}

void InstallHandlers() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction present {};
    if (::sigaction(signal, nullptr, &present) != 0 || present.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = RemoveTemporaries;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
  }
}

int Register(const char* path) {
  static std::once_flag once;
  std::call_once(once, InstallHandlers);
  registry_process = ::getpid();
  for (int i = 0; i < kSlots; ++i) {
    const char* empty = nullptr;
    if (registry[i].compare_exchange_strong(empty, path)) return i;
  }
  return -1;
}

void Unregister(int slot) {
  if (slot >= 0) registry[slot] = nullptr;
}

[[noreturn]] void Fail(const std::string& path, std::string_view what, int error) {
  throw FileError(Cat(path, ": ", what, ": ", std::strerror(error)));
}

}  // namespace

AtomicWriter::AtomicWriter(const std::filesystem::path& path, bool sync)
    : path_(path.string()), sync_(sync) {
  std::error_code none;
  if (std::filesystem::is_symlink(path, none)) {
    const auto target = std::filesystem::weakly_canonical(path, none);
    if (!none) path_ = target.string();
  }
  struct stat present {};
  const bool exists = ::stat(path_.c_str(), &present) == 0;
  if (exists && S_ISDIR(present.st_mode)) Fail(path_, "cannot be written", EISDIR);
  if (exists && !S_ISREG(present.st_mode)) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) Fail(path_, "cannot be written", errno);
    return;
  }
  // Renaming would replace a read-only file; its owner did not mean that.
  if (exists && ::access(path_.c_str(), W_OK) != 0) Fail(path_, "cannot be written", errno);
  static std::atomic<unsigned> count{0};
  const std::filesystem::path target(path_);
  temporary_ = (target.parent_path() /
                Cat(".", target.filename().string(), ".", ::getpid(), ".", count++, ".tmp"))
                   .string();
  slot_ = Register(temporary_.c_str());
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    const int error = errno;
    Unregister(slot_);
    Fail(path_, "cannot be written", error);
  }
  if (exists) (void)!::fchmod(fd_, present.st_mode & 07777);
}

AtomicWriter::~AtomicWriter() { Discard(); }

void AtomicWriter::Discard() {
  if (fd_ >= 0) ::close(fd_);
  if (fd_ >= 0 && !temporary_.empty()) ::unlink(temporary_.c_str());
  fd_ = -1;
  Unregister(slot_);
  slot_ = -1;
}

void AtomicWriter::Write(const void* data, size_t n) {
  Require(fd_ >= 0, path_, ": written to after it was committed");
  position_ += n;
  if (buffer_.size() + n > kBuffer) Flush();
  if (n >= kBuffer) return WriteAll(fd_, data, n, path_);
  const auto* from = static_cast<const uint8_t*>(data);
  buffer_.insert(buffer_.end(), from, from + n);
}

void AtomicWriter::Flush() {
  WriteAll(fd_, buffer_.data(), buffer_.size(), path_);
  buffer_.clear();
}

void AtomicWriter::Commit() {
  Require(fd_ >= 0, path_, ": committed twice");
  Flush();
  if (temporary_.empty()) return Discard();
  // A disk that is full may say so only now, or at close.
  if (sync_ && ::fsync(fd_) != 0) Fail(path_, "cannot be written", errno);
  const int closed = ::close(std::exchange(fd_, -1));
  const int error = errno;
  if (closed != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int reason = closed != 0 ? error : errno;
    ::unlink(temporary_.c_str());
    Fail(path_, "cannot be written", reason);
  }
  Discard();
}

void WriteFile(const std::filesystem::path& path, std::string_view text) {
  AtomicWriter writer(path);
  writer.Write(text);
  writer.Commit();
}

}  // namespace mezzo
