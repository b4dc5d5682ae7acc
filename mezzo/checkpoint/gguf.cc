#include "mezzo/checkpoint/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <set>
#include <type_traits>

namespace mezzo {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kArray = 9, kMaxRank = 4;

constexpr std::string_view kTypeNames[kGgufScalars] = {
    "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
    "bool",  "string", "array",  "uint64", "int64",  "float64"};

// Reads on from the front of a file; FileError when it ends.
class Cursor {
 public:
  explicit Cursor(const MappedFile& file) : file_(file) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return file_.bytes().size() - at_; }
  const std::string& path() const { return file_.name(); }
  void SetPlace(std::string place) { place_ = std::move(place); }  // what is being read
  std::string Where() const { return Cat(path(), ": ", place_); }

  std::string_view Take(uint64_t n) {
    if (n > left())  // not RequireFile, whose message would be made for every token
      throw FileError(
          Cat(Where(), ": needs ", n, " bytes from byte ", at_, ", the file has ", left()));
    const auto* from = reinterpret_cast<const char*>(file_.bytes().data()) + at_;
    at_ += n;
    return {from, n};
  }
  template <class T>
  T Number() {
    T value;
    std::memcpy(&value, Take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string String() { return std::string(Take(Number<uint64_t>())); }

 private:
  const MappedFile& file_;
  uint64_t at_ = 0;
  std::string place_ = "GGUF header";
};

template <class T>
void Read(Cursor& in, T& value) {
  value = in.Number<T>();
}
void Read(Cursor& in, bool& value) {
  const auto byte = in.Number<uint8_t>();
  RequireFile(byte <= 1, in.Where(), ": got ", int{byte}, ", a bool is 0 or 1");
  value = byte != 0;
}
void Read(Cursor& in, std::string& value) { value = in.String(); }
void Read(Cursor& in, std::monostate&) {
  throw FileError(Cat(in.Where(), ": arrays of arrays are not supported"));
}
template <class T>
void Read(Cursor& in, std::vector<T>& values) {
  const auto count = in.Number<uint64_t>();
  constexpr size_t least = std::is_same_v<T, std::string> ? sizeof(uint64_t) : sizeof(T);
  RequireFile(count <= in.left() / least, in.Where(), ": claims ", count, " values, the file has ",
              in.left(), " bytes more");
  values.reserve(count);
  for (uint64_t i = 0; i < count; ++i) {
    T value{};
    Read(in, value);
    values.push_back(std::move(value));
  }
}

template <size_t... I>
void ReadAlternative(Cursor& in, GgufValue& value, size_t index, std::index_sequence<I...>) {
  ((I == index ? Read(in, value.emplace<I>()) : void()), ...);
}

GgufValue ReadValue(Cursor& in) {
  const auto type = in.Number<uint32_t>();
  const auto element = type == kArray ? in.Number<uint32_t>() : type;
  RequireFile(element < kGgufScalars, in.Where(), ": has the unknown type ", element);
  GgufValue value;
  ReadAlternative(in, value, element + (type == kArray ? kGgufScalars : 0),
                  std::make_index_sequence<std::variant_size_v<GgufValue>>());
  return value;
}

const StorageInfo& StorageOf(uint32_t type, const std::string& where) {
  for (const StorageInfo& info : AllStorages())
    if (int64_t{info.gguf_type} == type) return info;
  throw FileError(Cat(where, ": ggml_type ", type, " is not supported"));
}

// One row of the table; returns the offset of the data. `tensor.bytes` is still to be set.
uint64_t ReadTensorInfo(Cursor& in, StoredTensor& tensor, std::string& name) {
  name = in.String();
  in.SetPlace("tensor " + Quoted(name));
  tensor.where = in.Where();
  const auto rank = in.Number<uint32_t>();
  RequireFile(rank <= kMaxRank, tensor.where, ": has ", rank, " dimensions, the limit is ",
              kMaxRank);
  for (uint32_t i = 0; i < rank; ++i)
    tensor.shape.insert(tensor.shape.begin(), in.Number<int64_t>());
  tensor.storage = StorageOf(in.Number<uint32_t>(), tensor.where).storage;
  return in.Number<uint64_t>();
}

void ReadMetadata(Cursor& in, uint64_t count, Gguf& gguf) {
  std::set<std::string> keys;
  for (uint64_t i = 0; i < count; ++i) {
    in.SetPlace(Cat("metadata entry ", i));
    std::string key = in.String();
    in.SetPlace("metadata " + Quoted(key));
    RequireFile(keys.insert(key).second, in.Where(), ": comes twice");
    gguf.metadata.emplace_back(std::move(key), ReadValue(in));
  }
}

uint64_t AlignUp(uint64_t at, uint64_t alignment) {
  return (at + alignment - 1) / alignment * alignment;
}

// Tensors follow one another, each at the next multiple of the alignment, as ggml demands.
void ReadTensors(Cursor& in, const MappedFile& file, uint64_t count, Gguf& gguf) {
  struct Row {
    StoredTensor* tensor;
    uint64_t offset;
  };
  std::vector<Row> rows;
  for (uint64_t i = 0; i < count; ++i) {
    in.SetPlace(Cat("tensor ", i));
    StoredTensor tensor{.owner = file.owner()};
    std::string name;
    const uint64_t offset = ReadTensorInfo(in, tensor, name);
    const auto [it, fresh] = gguf.tensors.emplace(std::move(name), std::move(tensor));
    RequireFile(fresh, it->second.where, ": comes twice");
    rows.push_back({&it->second, offset});
  }
  const std::optional<uint32_t> asked = GgufAlignment(gguf.metadata);
  RequireFile(asked.has_value(), gguf.path, ": general.alignment must be ", kGgufAlignmentRule);
  const uint64_t alignment = *asked, begin = AlignUp(in.at(), alignment);
  const std::span<const uint8_t> bytes = file.bytes();
  uint64_t at = 0;  // never far beyond the file's size: every tensor is checked against it
  for (const auto& [tensor, offset] : rows) {
    const auto size = StoredBytes(tensor->storage, tensor->shape);
    RequireFile(size.has_value(), tensor->where, ": has the shape ", ToString(tensor->shape),
                ", which is impossible for ", Info(tensor->storage).name);
    RequireFile(offset == at, tensor->where, ": begins at byte ", offset, " of the data, needs ",
                at, ", where the one before it ends");
    RequireFile(begin + at <= bytes.size() && *size <= bytes.size() - begin - at, tensor->where,
                ": needs ", *size, " bytes from byte ", begin + at, ", the file ends at ",
                bytes.size());
    tensor->bytes = bytes.subspan(begin + at, *size);
    at = AlignUp(at + *size, alignment);
  }
}

}  // namespace

std::string GgufTypeName(const GgufValue& value) {
  const size_t type = value.index();
  if (type < kGgufScalars) return std::string(kTypeNames[type]);
  return Cat("array of ", kTypeNames[type - kGgufScalars]);
}

const GgufValue* Find(const GgufMetadata& metadata, std::string_view key) {
  const auto it = std::find_if(metadata.begin(), metadata.end(),
                               [&](const auto& entry) { return entry.first == key; });
  return it == metadata.end() ? nullptr : &it->second;
}

std::optional<uint32_t> GgufAlignment(const GgufMetadata& metadata) {
  const GgufValue* value = Find(metadata, "general.alignment");
  if (!value) return 32;
  const auto* given = std::get_if<uint32_t>(value);
  if (!given || !std::has_single_bit(*given) || *given < 8) return {};
  return *given;
}

int64_t Gguf::Int(std::string_view key) const {
  const GgufValue* value = Find(metadata, key);
  std::optional<int64_t> result;
  if (value)
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
            if (std::in_range<int64_t>(v)) result = static_cast<int64_t>(v);
        },
        *value);
  if (!result) Refuse(key, "an integer below 2^63");
  return *result;
}

void Gguf::Refuse(std::string_view key, const std::string& need) const {
  const GgufValue* value = Find(metadata, key);
  throw FileError(Cat(path, ": metadata ", Quoted(key), " is ",
                      value ? GgufTypeName(*value) : "missing", ", needs ", need));
}

Gguf ParseGguf(const MappedFile& file) {
  Cursor in(file);
  RequireFile(in.left() >= kMagic.size() && in.Take(kMagic.size()) == kMagic, in.path(),
              ": is no GGUF file");
  Gguf gguf;
  gguf.path = in.path();
  gguf.version = in.Number<uint32_t>();
  RequireFile((gguf.version & 0xffff) != 0, in.path(), ": is a big-endian GGUF file");
  RequireFile(gguf.version == 2 || gguf.version == 3, in.path(), ": has GGUF version ",
              gguf.version, ", known are 2 and 3");
  const auto tensors = in.Number<uint64_t>(), entries = in.Number<uint64_t>();
  ReadMetadata(in, entries, gguf);
  ReadTensors(in, file, tensors, gguf);
  return gguf;
}

Gguf ReadGguf(const std::filesystem::path& path) { return ParseGguf(MappedFile(path)); }

}  // namespace mezzo
