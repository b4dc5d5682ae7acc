// Files in and out: reading by offset, mapping into memory, and writing that leaves a whole file or
// none. Every failure is a FileError that begins with the path and ends with the system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/base/temporaries.h"

namespace mezzo {

// A read-only file as memory. Copies share the mapping; it lives as long as one of them or an
// owner(). A file that somebody shortens while it is mapped ends the process (SIGBUS): use
// ByteSource for data that is read over hours.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(std::vector<uint8_t> bytes, std::string name);  // memory in the place of a file

  const std::string& name() const { return name_; }  // the path, for messages
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  std::shared_ptr<const void> owner() const { return mapping_; }

 private:
  std::string name_;
  std::shared_ptr<const void> mapping_;
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file. Throws FileError if it is longer than `limit` bytes.
std::string ReadFile(const std::filesystem::path& path, uint64_t limit = uint64_t{1} << 32);

// Pages of a mapped file count as the process's memory until the system wants them back: this
// offers those that lie inside `bytes`. They may be read again all the same.
void OfferPages(std::span<const uint8_t> bytes);

// Bytes that are read where they lie: a file, a part of one, or memory. Nothing is cached, so
// reading a large file piece by piece costs no memory. Safe to read from several threads.
class ByteSource {
 public:
  explicit ByteSource(const std::filesystem::path& path);
  ByteSource(std::vector<uint8_t> bytes, std::string name);

  // A file without a name that vanishes with its last user, holding what fill(file descriptor)
  // writes.
  template <class Fill>
  static ByteSource Temporary(std::string name, Fill&& fill) {
    const int fd = OpenTemporary();
    ByteSource source(fd, std::move(name));
    fill(fd);
    source.MeasureFile();
    return source;
  }

  const std::string& name() const { return name_; }  // the path, for messages
  uint64_t size() const { return size_; }

  // Copies n bytes from `offset` on. Throws FileError unless all of them are there.
  void Read(uint64_t offset, void* to, size_t n) const;
  // The part [offset, offset + size), which must lie inside.
  ByteSource Slice(uint64_t offset, uint64_t size, std::string name) const;

 private:
  struct Storage;
  ByteSource(int fd, std::string name);
  static int OpenTemporary();
  void MeasureFile();

  std::shared_ptr<const Storage> storage_;
  std::string name_;
  uint64_t begin_ = 0, size_ = 0;
};

// Writes all n bytes to the descriptor; FileError with `name` if that fails.
void WriteAll(int fd, const void* data, size_t n, const std::string& name);

// A file that appears under its name whole, at Commit(), or not at all: the bytes go to a temporary
// file in the same folder, which is removed if the writer goes away uncommitted or a signal ends
// the process (temporaries.h). An existing file keeps its permissions; a link is followed. A device
// or pipe is written to directly.
class AtomicWriter {
 public:
  // sync: Commit() waits until the bytes are on the disk, so that a crash cannot leave an empty
  // file.
  explicit AtomicWriter(const std::filesystem::path& path, bool sync = true);
  ~AtomicWriter();
  AtomicWriter(const AtomicWriter&) = delete;
  AtomicWriter& operator=(const AtomicWriter&) = delete;

  void Write(const void* data, size_t n);
  void Write(std::string_view text) { Write(text.data(), text.size()); }
  uint64_t position() const { return position_; }

  // Flushes to the disk and puts the file in its place. The writer is done after that.
  void Commit();

 private:
  void Flush();
  void Discard();

  std::string path_, temporary_;  // temporary_ is empty when written to directly
  std::vector<uint8_t> buffer_;
  uint64_t position_ = 0;
  bool sync_;
  int fd_ = -1;
  RemovedBySignal guard_;
};

// AtomicWriter in one call.
void WriteFile(const std::filesystem::path& path, std::string_view text);

// A folder of its own under $TMPDIR (or /tmp), removed with all it holds at the end, also if a
// signal ends the process.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  RemovedBySignal guard_;
};

}  // namespace mezzo
