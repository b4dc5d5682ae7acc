#include "mezzo/checkpoint/npz.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace mezzo {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50, kEntryMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr uint32_t kEnd64Magic = 0x06064b50, kLocator64Magic = 0x07064b50;
constexpr size_t kLocalSize = 30, kEntrySize = 46, kEndSize = 22, kEnd64Size = 56,
                 kLocatorSize = 20;
constexpr uint64_t kMaxMembers = 1000000, kMaxInflated = uint64_t{4} << 30, kMaxRatio = 1032;
constexpr uint64_t kMaxInMemory = 8 << 20;
constexpr uint64_t kMaxDirectory = uint64_t{256} << 20;
constexpr uint16_t kStored = 0, kDeflated = 8, kZip64Field = 1, kEncrypted = 1;
constexpr size_t kChunk = 256 << 10;

// Little-endian fields of a piece of the file; the caller has checked that they are there.
uint64_t Field(const uint8_t* p, size_t bytes) {
  uint64_t v = 0;
  for (size_t i = bytes; i-- > 0;) v = v << 8 | p[i];
  return v;
}

std::vector<uint8_t> Piece(const ByteSource& source, uint64_t offset, uint64_t n) {
  std::vector<uint8_t> bytes(n);
  source.Read(offset, bytes.data(), n);
  return bytes;
}

struct Directory {
  uint64_t offset = 0, size = 0, count = 0;
};

// The end record is the last thing in the file but for a comment of up to 64 KiB.
std::optional<Directory> FindDirectory(const ByteSource& source) {
  const uint64_t size = source.size(), tail = std::min<uint64_t>(size, kEndSize + 0xffff);
  const std::vector<uint8_t> bytes = Piece(source, size - tail, tail);
  for (size_t at = tail; at-- > 0;) {
    if (tail - at < kEndSize || Field(&bytes[at], 4) != kEndMagic) continue;
    if (Field(&bytes[at + 20], 2) != tail - at - kEndSize) continue;  // the comment's length
    Directory d{Field(&bytes[at + 16], 4), Field(&bytes[at + 12], 4), Field(&bytes[at + 10], 2)};
    const uint64_t end = size - tail + at;
    if (end < kLocatorSize + kEnd64Size) return d;
    const auto locator = Piece(source, end - kLocatorSize, kLocatorSize);
    if (Field(locator.data(), 4) != kLocator64Magic) return d;
    const uint64_t at64 = Field(&locator[8], 8);
    RequireFile(at64 <= end - kLocatorSize - kEnd64Size, source.name(),
                ": its zip64 record lies outside of it");
    const auto end64 = Piece(source, at64, kEnd64Size);
    RequireFile(Field(end64.data(), 4) == kEnd64Magic, source.name(),
                ": its zip64 record is damaged");
    return Directory{Field(&end64[48], 8), Field(&end64[40], 8), Field(&end64[32], 8)};
  }
  return std::nullopt;
}

// Calls use(bytes, n) on the data in pieces.
template <class Use>
void ForPieces(const ByteSource& data, Use&& use) {
  std::vector<uint8_t> piece(std::min<uint64_t>(kChunk, data.size()));
  for (uint64_t at = 0; at < data.size(); at += piece.size()) {
    piece.resize(std::min<uint64_t>(piece.size(), data.size() - at));
    data.Read(at, piece.data(), piece.size());
    use(piece.data(), piece.size());
  }
}

uint32_t Crc(uint32_t crc, const void* data, size_t n) {
  return static_cast<uint32_t>(::crc32_z(crc, static_cast<const Bytef*>(data), n));
}

// Unpacks raw deflate data piece by piece: exactly `size` bytes, or a FileError that begins with
// `where`. Returns the CRC of what use(bytes, n) was given.
template <class Use>
uint32_t Inflate(const ByteSource& packed, uint64_t size, const std::string& where, Use&& use) {
  z_stream z{};
  RequireFile(::inflateInit2(&z, -MAX_WBITS) == Z_OK, where, ": no memory to unpack it");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&z, ::inflateEnd);
  std::vector<uint8_t> out(kChunk);
  uint64_t done = 0;
  uint32_t crc = 0;
  int status = Z_OK;
  ForPieces(packed, [&](uint8_t* piece, size_t n) {
    RequireFile(status != Z_STREAM_END, where, ": has data after the end of its deflate stream");
    z.next_in = piece;
    z.avail_in = static_cast<uInt>(n);
    do {
      z.next_out = out.data();
      z.avail_out = static_cast<uInt>(out.size());
      status = ::inflate(&z, Z_NO_FLUSH);
      const bool damaged = status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR;
      RequireFile(!damaged, where, ": its deflate data is damaged",
                  z.msg ? Cat(" (", z.msg, ")") : "");
      const size_t got = out.size() - z.avail_out;
      done += got;
      RequireFile(done <= size, where, ": unpacks to more than the ", size, " bytes it claims");
      crc = Crc(crc, out.data(), got);
      use(out.data(), got);
    } while (z.avail_out == 0 && status != Z_STREAM_END);
    RequireFile(status != Z_STREAM_END || z.avail_in == 0, where,
                ": has data after the end of its deflate stream");
  });
  RequireFile(status == Z_STREAM_END && done == size, where, ": unpacks to ", done,
              " bytes, claims ", size);
  return crc;
}

}  // namespace

NpzFile::NpzFile(ByteSource source) : source_(std::move(source)) { ReadDirectory(); }

void NpzFile::ReadDirectory() {
  const std::string& path = source_.name();
  const std::optional<Directory> directory = FindDirectory(source_);
  RequireFile(directory.has_value(), path,
              ": is no .npz archive (it has no zip directory; truncated?)");
  const auto [offset, size, count] = *directory;
  RequireFile(offset <= source_.size() && size <= source_.size() - offset, path,
              ": its zip directory lies outside of it");
  RequireFile(count <= kMaxMembers && size <= kMaxDirectory, path, ": has ", count,
              " members, the limit is ", kMaxMembers);
  const std::vector<uint8_t> bytes = Piece(source_, offset, size);
  size_t at = 0;
  for (uint64_t i = 0; i < count; ++i) {
    RequireFile(bytes.size() - at >= kEntrySize && Field(&bytes[at], 4) == kEntryMagic, path,
                ": its zip directory is damaged at entry ", i);
    const uint8_t* e = &bytes[at];
    const size_t name = Field(e + 28, 2), extra = Field(e + 30, 2), comment = Field(e + 32, 2);
    RequireFile(bytes.size() - at - kEntrySize >= name + extra + comment, path,
                ": its zip directory ends inside entry ", i);
    const std::string file_name(reinterpret_cast<const char*>(e) + kEntrySize, name);
    Member m{Field(e + 42, 4), Field(e + 20, 4), Field(e + 24, 4),
             static_cast<uint32_t>(Field(e + 16, 4)), static_cast<uint16_t>(Field(e + 10, 2))};
    RequireFile((Field(e + 8, 2) & kEncrypted) == 0, Where(file_name), ": is encrypted");
    // Fields that are all ones stand in the zip64 record, in this order.
    const uint8_t *x = e + kEntrySize + name, *end = x + extra;
    while (end - x >= 4) {
      const size_t id = Field(x, 2), length = Field(x + 2, 2);
      RequireFile(static_cast<size_t>(end - x) - 4 >= length, Where(file_name),
                  ": its extra fields are damaged");
      const uint8_t *v = x + 4, *stop = v + length;
      x = stop;
      if (id != kZip64Field) continue;
      for (uint64_t* field : {&m.size, &m.stored, &m.header}) {
        if (*field != 0xffffffff) continue;
        RequireFile(stop - v >= 8, Where(file_name), ": its zip64 sizes are missing");
        *field = Field(v, 8);
        v += 8;
      }
    }
    AddMember(file_name, m);
    at += kEntrySize + name + extra + comment;
  }
  CheckOverlap(offset);
}

void NpzFile::AddMember(const std::string& file_name, const Member& m) {
  constexpr std::string_view kSuffix = ".npy";
  const std::string where = Where(file_name);
  RequireFile(file_name.ends_with(kSuffix), where, ": is no .npy array");
  RequireFile(m.method == kStored || m.method == kDeflated, where, ": is packed with zip method ",
              m.method, ", known are 0 (stored) and 8 (deflate)");
  RequireFile(m.method != kStored || m.stored == m.size, where, ": is stored in ", m.stored,
              " bytes but claims ", m.size);
  if (m.method == kDeflated) {
    RequireFile(m.size <= kMaxInflated, where, ": unpacks to ", m.size, " bytes, the limit is ",
                kMaxInflated, " (store it uncompressed: numpy.savez)");
    RequireFile(m.size <= (m.stored + 1) * kMaxRatio || m.stored > kMaxInflated, where, ": claims ",
                m.size, " bytes out of ", m.stored, ", which deflate cannot hold");
  }
  const std::string name = file_name.substr(0, file_name.size() - kSuffix.size());
  RequireFile(members_.emplace(name, m).second, where, ": is there twice");
}

void NpzFile::CheckOverlap(uint64_t directory) const {
  std::vector<std::pair<uint64_t, const std::string*>> starts;
  for (const auto& [name, m] : members_) starts.emplace_back(m.header, &name);
  std::sort(starts.begin(), starts.end());
  for (size_t i = 0; i < starts.size(); ++i) {
    const auto& [begin, name] = starts[i];
    const uint64_t end = i + 1 < starts.size() ? starts[i + 1].first : directory;
    const Member& m = members_.at(*name);
    RequireFile(begin <= end && end - begin >= kLocalSize && m.stored <= end - begin - kLocalSize,
                Where(*name), ": overlaps its neighbour in the archive");
  }
}

std::vector<std::string> NpzFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, member] : members_) names.push_back(name);
  return names;
}

ByteSource NpzFile::Data(const std::string& name, const Member& m) const {
  const auto local = Piece(source_, m.header, kLocalSize);
  RequireFile(Field(local.data(), 4) == kLocalMagic, Where(name), ": its zip header is damaged");
  RequireFile(Field(&local[8], 2) == m.method, Where(name),
              ": its zip header contradicts the directory");
  return source_.Slice(m.header + kLocalSize + Field(&local[26], 2) + Field(&local[28], 2),
                       m.stored, Where(name));
}

NpyArray NpzFile::Open(const std::string& name) const {
  const auto it = members_.find(name);
  RequireFile(it != members_.end(), source_.name(), ": has no array '", name, "'");
  const Member& m = it->second;
  ByteSource data = Data(name, m);
  const std::string where = data.name();
  uint32_t crc = 0;
  if (m.method == kStored) {
    ForPieces(data, [&](const uint8_t* piece, size_t n) { crc = Crc(crc, piece, n); });
  } else if (m.size <= kMaxInMemory) {
    std::vector<uint8_t> out;
    crc = Inflate(data, m.size, where,
                  [&](const uint8_t* piece, size_t n) { out.insert(out.end(), piece, piece + n); });
    data = ByteSource(std::move(out), where);
  } else {
    data = ByteSource::Temporary(where, [&, packed = data](int fd) {
      crc = Inflate(packed, m.size, where,
                    [&](const uint8_t* piece, size_t n) { WriteAll(fd, piece, n, where); });
    });
  }
  RequireFile(crc == m.crc, where, ": is damaged (its checksum is wrong)");
  return NpyArray(std::move(data));
}

}  // namespace mezzo
