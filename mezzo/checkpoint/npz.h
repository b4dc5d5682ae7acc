// NumPy's .npz files: a zip archive (with or without the zip64 records) of .npy members, stored or
// deflated.
//
// Checked before anything is read: the directory lies inside the file, names are unique, members do
// not overlap, sizes agree between the directory, the member's own header and its data, CRC-32
// holds. Limits: 1,000,000 members; a deflated member may claim at most 1032 times its compressed
// size (deflate cannot do more) and at most 4 GiB (store larger ones uncompressed, as numpy.savez
// does). Memory: a stored member is read where it lies; a deflated one is unpacked to memory up to
// 8 MiB, above that to an unnamed file under $TMPDIR.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mezzo/checkpoint/npy.h"

namespace mezzo {

// Safe to use from several threads.
class NpzFile {
 public:
  explicit NpzFile(const std::filesystem::path& path) : NpzFile(ByteSource(path)) {}
  explicit NpzFile(ByteSource source);

  // The arrays, without ".npy", in order of their names.
  std::vector<std::string> names() const;
  bool Has(const std::string& name) const { return members_.contains(name); }

  // Checks the CRC, which reads the member once. Throws FileError naming file and member.
  NpyArray Open(const std::string& name) const;
  Tensor Read(const std::string& name) const { return Open(name).Read(); }

 private:
  struct Member {
    uint64_t header = 0, stored = 0,
             size = 0;  // offset of the local header, bytes in the file and unpacked
    uint32_t crc = 0;
    uint16_t method = 0;
  };
  void ReadDirectory();
  void AddMember(const std::string& file_name, const Member& member);
  void CheckOverlap(uint64_t directory) const;
  ByteSource Data(const std::string& name, const Member& member) const;
  std::string Where(const std::string& name) const {
    return source_.name() + ": member '" + name + "'";
  }

  ByteSource source_;
  std::map<std::string, Member> members_;
};

// Writes an archive of stored members, one after another; zip64 records where sizes need them.
class NpzWriter {
 public:
  explicit NpzWriter(const std::filesystem::path& path,
                     bool sync = true);  // sync: see AtomicWriter
  void Add(const std::string& name, const Tensor& tensor);
  // Writes the directory and puts the file in its place.
  void Commit();

 private:
  struct Entry {
    std::string name;
    uint64_t offset, size;
    uint32_t crc;
  };
  AtomicWriter writer_;
  std::vector<Entry> entries_;
};

void WriteNpz(const std::filesystem::path& path, const std::map<std::string, Tensor>& arrays);

}  // namespace mezzo
