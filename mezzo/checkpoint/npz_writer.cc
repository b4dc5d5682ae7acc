// NpzWriter of npz.h.
#include <zlib.h>

#include <algorithm>

#include "mezzo/checkpoint/npz.h"

namespace mezzo {
namespace {

constexpr uint32_t kAllOnes = 0xffffffff;
constexpr uint16_t kVersion = 20, kVersion64 = 45;
constexpr uint32_t kDate = 1 << 5 | 1;  // 1980-01-01, so that the same arrays give the same bytes

// Little-endian; past the eighth byte zeros.
std::string& Put(std::string& s, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i, value >>= 8) s += static_cast<char>(value & 255);
  return s;
}

uint32_t Clamp32(uint64_t v) { return v >= kAllOnes ? kAllOnes : static_cast<uint32_t>(v); }

// What the local header and the directory have in common, from the version to the lengths.
void PutCommon(std::string& s, bool zip64, uint32_t crc, uint64_t size, size_t name, size_t extra) {
  Put(s, zip64 ? kVersion64 : kVersion, 2);
  Put(s, 0, 2);  // flags
  Put(s, 0, 2);  // stored
  Put(s, kDate << 16, 4);
  Put(s, crc, 4);
  Put(s, Clamp32(size), 4);
  Put(s, Clamp32(size), 4);
  Put(s, name, 2);
  Put(s, extra, 2);
}

}  // namespace

NpzWriter::NpzWriter(const std::filesystem::path& path, bool sync) : writer_(path, sync) {}

void NpzWriter::Add(const std::string& name, const Tensor& tensor) {
  Require(name.size() < 0xff00, "an array's name of ", name.size(), " bytes is too long for .npz");
  const Tensor plain = tensor.ToLayout(Layout::kPlain);
  const std::string header = NpyHeader(plain.dtype(), plain.shape());
  Entry e{name + ".npy", writer_.position(), header.size() + plain.bytes(), 0};
  const auto crc = ::crc32_z(0, reinterpret_cast<const Bytef*>(header.data()), header.size());
  e.crc = plain.bytes() == 0
              ? crc
              : ::crc32_z(crc, static_cast<const Bytef*>(plain.raw()), plain.bytes());

  const bool zip64 = e.size >= kAllOnes;
  std::string local;
  Put(local, 0x04034b50, 4);
  PutCommon(local, zip64, e.crc, e.size, e.name.size(), zip64 ? 20 : 0);
  local += e.name;
  if (zip64) Put(Put(Put(Put(local, 1, 2), 16, 2), e.size, 8), e.size, 8);
  writer_.Write(local);
  writer_.Write(header);
  writer_.Write(plain.raw(), plain.bytes());
  entries_.push_back(std::move(e));
}

void NpzWriter::Commit() {
  const uint64_t begin = writer_.position();
  for (const Entry& e : entries_) {
    std::string fields;
    if (e.size >= kAllOnes) Put(Put(fields, e.size, 8), e.size, 8);
    if (e.offset >= kAllOnes) Put(fields, e.offset, 8);
    std::string extra;
    if (!fields.empty()) Put(Put(extra, 1, 2), fields.size(), 2) += fields;
    std::string s;
    Put(Put(s, 0x02014b50, 4), kVersion64, 2);
    PutCommon(s, !extra.empty(), e.crc, e.size, e.name.size(), extra.size());
    Put(s, 0, 10);  // comment, disk, attributes
    Put(s, Clamp32(e.offset), 4);
    writer_.Write(s + e.name + extra);
  }
  const uint64_t size = writer_.position() - begin, count = entries_.size();
  std::string end;
  if (begin >= kAllOnes || size >= kAllOnes || count >= 0xffff) {
    const uint64_t record = writer_.position();
    Put(Put(Put(Put(end, 0x06064b50, 4), 44, 8), kVersion64, 2), kVersion64, 2);
    Put(Put(Put(Put(Put(end, 0, 8), count, 8), count, 8), size, 8), begin, 8);
    Put(Put(Put(Put(end, 0x07064b50, 4), 0, 4), record, 8), 1, 4);
  }
  const uint64_t count16 = std::min<uint64_t>(count, 0xffff);
  Put(Put(Put(Put(end, 0x06054b50, 4), 0, 4), count16, 2), count16, 2);
  Put(Put(Put(end, Clamp32(size), 4), Clamp32(begin), 4), 0, 2);
  writer_.Write(end);
  writer_.Commit();
}

void WriteNpz(const std::filesystem::path& path, const std::map<std::string, Tensor>& arrays) {
  NpzWriter writer(path);
  for (const auto& [name, tensor] : arrays) writer.Add(name, tensor);
  writer.Commit();
}

}  // namespace mezzo
