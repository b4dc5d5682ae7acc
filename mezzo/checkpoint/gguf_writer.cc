// WriteGguf of gguf.h.
#include <set>

#include "mezzo/checkpoint/gguf.h"

namespace mezzo {
namespace {

constexpr uint32_t kVersion = 3, kArray = 9;
constexpr size_t kMaxRank = 4, kMaxName = 63, kMaxKey = 65535;  // 63: ggml's field ends in a zero

template <class T>
void Put(std::string& out, T number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}
void Put(std::string& out, bool value) { out += static_cast<char>(value); }
void Put(std::string& out, const std::string& text) {
  Put(out, uint64_t{text.size()});
  out += text;
}
void Put(std::string&, std::monostate) {
  throw UsageError("a GGUF value cannot be an array of arrays");
}
template <class T>
void Put(std::string& out, const std::vector<T>& values) {
  Put(out, uint64_t{values.size()});
  for (const T& value : values) Put(out, value);
}

void PutValue(std::string& out, const GgufValue& value) {
  const auto type = static_cast<uint32_t>(value.index());
  if (type >= kGgufScalars) Put(out, kArray);
  Put(out, type % uint32_t{kGgufScalars});
  std::visit([&](const auto& v) { Put(out, v); }, value);
}

void PutMetadata(std::string& out, const GgufMetadata& metadata, const std::string& where) {
  std::set<std::string_view> keys;
  for (const auto& [key, value] : metadata) {
    Require(!key.empty() && key.size() <= kMaxKey && keys.insert(key).second, where, ": metadata ",
            Quoted(key), " is empty, too long or comes twice");
    Put(out, key);
    PutValue(out, value);
  }
}

}  // namespace

CheckpointWriter WriteGguf(const std::filesystem::path& path, std::vector<TensorSpec> tensors,
                           const GgufMetadata& metadata) {
  const std::string where = path.string();
  const std::vector<uint64_t> sizes = CheckSpecs(where, tensors);
  std::string header = "GGUF";
  Put(header, kVersion);
  Put(header, uint64_t{tensors.size()});
  Put(header, uint64_t{metadata.size()});
  PutMetadata(header, metadata, where);
  const std::optional<uint32_t> alignment = GgufAlignment(metadata);
  Require(alignment.has_value(), where, ": general.alignment must be ", kGgufAlignmentRule);
  uint64_t at = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [name, storage, shape] = tensors[i];
    const StorageInfo& info = Info(storage);
    Require(info.gguf_type >= 0 && shape.size() <= kMaxRank && name.size() <= kMaxName, where,
            ": tensor ", Quoted(name), ": ", ToString(shape), " of ", info.name,
            " cannot be in a GGUF file (names have up to ", kMaxName, " bytes, shapes up to ",
            kMaxRank, " dimensions)");
    Put(header, name);
    Put(header, static_cast<uint32_t>(shape.size()));
    for (size_t d = shape.size(); d-- > 0;) Put(header, static_cast<uint64_t>(shape[d]));
    Put(header, static_cast<uint32_t>(info.gguf_type));
    Put(header, at);
    at = (at + sizes[i] + *alignment - 1) / *alignment * *alignment;
  }
  return CheckpointWriter(path, std::move(tensors), header, *alignment);
}

}  // namespace mezzo
