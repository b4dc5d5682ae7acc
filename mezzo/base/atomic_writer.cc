// AtomicWriter of files.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"

namespace mezzo {
namespace {

constexpr size_t kBuffer = size_t{1} << 20;

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
  guard_.Add(temporary_);
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd_ < 0) {
    const int error = errno;
    guard_.Release();
    Fail(path_, "cannot be written", error);
  }
  if (exists) (void)!::fchmod(fd_, present.st_mode & 07777);
}

AtomicWriter::~AtomicWriter() { Discard(); }

void AtomicWriter::Discard() {
  if (fd_ >= 0) ::close(fd_);
  if (fd_ >= 0 && !temporary_.empty()) ::unlink(temporary_.c_str());
  fd_ = -1;
  guard_.Release();
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
