#include "mezzo/base/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

[[noreturn]] void Fail(const std::string& path, std::string_view what) {
  throw FileError(Cat(path, ": ", what, ": ", std::strerror(errno)));
}

// Open for reading; FileError for what is missing, forbidden or a folder.
int OpenToRead(const std::string& path, uint64_t* size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) Fail(path, "cannot be opened");
  struct stat info {};
  if (::fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) errno = EISDIR;
    const int error = errno;
    ::close(fd);
    errno = error;
    Fail(path, "cannot be read");
  }
  *size = static_cast<uint64_t>(info.st_size);
  return fd;
}

std::filesystem::path TemporaryRoot() {
  const char* named = std::getenv("TMPDIR");
  return named && *named ? named : "/tmp";
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : name_(path.string()) {
  uint64_t size = 0;
  const int fd = OpenToRead(name_, &size);
  size_ = size;
  if (size_ == 0) {  // which mmap refuses
    ::close(fd);
    return;
  }
  void* at = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
  const int error = errno;
  ::close(fd);
  errno = error;
  if (at == MAP_FAILED) Fail(name_, "cannot be mapped into memory");
  data_ = static_cast<const uint8_t*>(at);
  mapping_ = std::shared_ptr<const void>(at, [size = size_](void* p) { ::munmap(p, size); });
}

void OfferPages(std::span<const uint8_t> bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t begin = (first + page - 1) / page * page,
                  end = (first + bytes.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_PAGEOUT);
}

MappedFile::MappedFile(std::vector<uint8_t> bytes, std::string name) : name_(std::move(name)) {
  const auto memory = std::make_shared<const std::vector<uint8_t>>(std::move(bytes));
  mapping_ = memory;
  data_ = memory->data();
  size_ = memory->size();
}

struct ByteSource::Storage {
  std::vector<uint8_t> memory;
  int fd = -1;
  ~Storage() {
    if (fd >= 0) ::close(fd);
  }
};

ByteSource::ByteSource(const std::filesystem::path& path) : name_(path.string()) {
  auto storage = std::make_shared<Storage>();
  storage->fd = OpenToRead(name_, &size_);
  storage_ = std::move(storage);
}

ByteSource::ByteSource(std::vector<uint8_t> bytes, std::string name) : name_(std::move(name)) {
  size_ = bytes.size();
  auto storage = std::make_shared<Storage>();
  storage->memory = std::move(bytes);
  storage_ = std::move(storage);
}

ByteSource::ByteSource(int fd, std::string name) : name_(std::move(name)) {
  auto storage = std::make_shared<Storage>();
  storage->fd = fd;
  storage_ = std::move(storage);
}

int ByteSource::OpenTemporary() {
  std::string name = (TemporaryRoot() / "mezzo-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) Fail(name, "cannot make a temporary file");
  ::unlink(name.c_str());
  return fd;
}

void ByteSource::MeasureFile() {
  struct stat info {};
  if (::fstat(storage_->fd, &info) != 0) Fail(name_, "cannot be measured");
  size_ = static_cast<uint64_t>(info.st_size);
}

void ByteSource::Read(uint64_t offset, void* to, size_t n) const {
  RequireFile(offset <= size_ && n <= size_ - offset, name_, ": ends after ", size_, " bytes, but ",
              n, " are needed from byte ", offset);
  if (storage_->fd < 0) {
    if (n > 0) std::memcpy(to, storage_->memory.data() + begin_ + offset, n);
    return;
  }
  auto* out = static_cast<char*>(to);
  for (uint64_t at = begin_ + offset; n > 0;) {
    const ssize_t got = ::pread(storage_->fd, out, n, static_cast<off_t>(at));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) Fail(name_, "cannot be read");
    RequireFile(got > 0, name_, ": became shorter while it was read");
    out += got, at += static_cast<uint64_t>(got), n -= static_cast<size_t>(got);
  }
}

ByteSource ByteSource::Slice(uint64_t offset, uint64_t size, std::string name) const {
  RequireFile(offset <= size_ && size <= size_ - offset, name, ": lies beyond the end of ", name_);
  ByteSource part = *this;
  part.begin_ += offset;
  part.size_ = size;
  part.name_ = std::move(name);
  return part;
}

std::string ReadFile(const std::filesystem::path& path, uint64_t limit) {
  const ByteSource source(path);
  RequireFile(source.size() <= limit, path.string(), ": is ", source.size(),
              " bytes long, over the limit of ", limit);
  std::string text(source.size(), '\0');
  source.Read(0, text.data(), text.size());
  return text;
}

void WriteAll(int fd, const void* data, size_t n, const std::string& name) {
  const auto* from = static_cast<const char*>(data);
  while (n > 0) {
    const ssize_t put = ::write(fd, from, n);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) Fail(name, "cannot be written");
    from += put, n -= static_cast<size_t>(put);
  }
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (TemporaryRoot() / "mezzo-XXXXXX").string();
  if (!::mkdtemp(name.data())) Fail(name, "cannot make a temporary folder");
  path_ = name;
  guard_.Add(path_.native());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace mezzo
