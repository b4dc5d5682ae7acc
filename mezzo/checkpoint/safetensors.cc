#include "mezzo/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

namespace mezzo {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr int kMaxDepth = 8;
constexpr const char *kMetadata = "__metadata__", *kIndex = "model.safetensors.index.json";

// An object without repeated fields, nested kMaxDepth deep at most; FileError otherwise.
Json ParseObject(std::string_view text, const std::string& where) {
  std::vector<std::set<std::string>> fields;  // of the objects that are open
  const auto check = [&](int depth, Json::parse_event_t event, const Json& parsed) {
    RequireFile(depth <= kMaxDepth, where, ": is nested more than ", kMaxDepth, " deep");
    if (event == Json::parse_event_t::object_start) fields.emplace_back();
    if (event == Json::parse_event_t::object_end) fields.pop_back();
    if (event == Json::parse_event_t::key)
      RequireFile(fields.back().insert(parsed.get<std::string>()).second, where, ": has ",
                  Quoted(parsed.get<std::string>()), " twice");
    return true;
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), check);
    RequireFile(json.is_object(), where, ": is no JSON object");
    return json;
  } catch (const Json::exception& e) {
    throw FileError(Cat(where, ": is no JSON: ", e.what()));
  }
}

std::string Text(const Json& json) {
  return Quoted(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

std::string String(const Json& json, const std::string& where) {
  RequireFile(json.is_string(), where, ": got ", Text(json), ", needs a string");
  return json.get<std::string>();
}

const StorageInfo& Dtype(const Json& json, const std::string& where) {
  const std::string name = String(json, where + ": dtype");
  for (const StorageInfo& info : AllStorages())
    if (info.elements == 1 && info.name == name) return info;
  throw FileError(Cat(where, ": dtype ", Quoted(name), " is not supported"));
}

std::vector<int64_t> Counts(const Json& json, const std::string& where) {
  RequireFile(json.is_array(), where, ": got ", Text(json), ", needs a list of numbers");
  std::vector<int64_t> counts;
  for (const Json& v : json) {
    if (!v.is_number_unsigned() || v.get<uint64_t>() > INT64_MAX)
      throw FileError(Cat(where, ": got ", Text(v), ", needs integers of 0 to 2^63 - 1"));
    counts.push_back(v.get<int64_t>());
  }
  return counts;
}

struct Entry {
  uint64_t begin, end;
  StoredTensor tensor;
};

Entry ParseEntry(const Json& json, std::string where, const MappedFile& file) {
  RequireFile(json.is_object() && json.size() == 3 && json.contains("dtype") &&
                  json.contains("shape") && json.contains("data_offsets"),
              where, ": got ", Text(json), ", needs dtype, shape and data_offsets");
  const StorageInfo& info = Dtype(json["dtype"], where);
  const Shape shape = Counts(json["shape"], where + ": shape");
  const auto offsets = Counts(json["data_offsets"], where + ": data_offsets");
  RequireFile(offsets.size() == 2 && offsets[0] <= offsets[1], where, ": data_offsets: got ",
              Text(json["data_offsets"]), ", needs [begin, end]");
  const auto begin = static_cast<uint64_t>(offsets[0]), end = static_cast<uint64_t>(offsets[1]);
  RequireFile(StoredBytes(info.storage, shape) == end - begin, where, ": has ", end - begin,
              " bytes, which are no ", ToString(shape), " of ", info.name);
  return {begin, end, {info.storage, shape, {}, file.owner(), std::move(where)}};
}

// The tensors must fill the data without holes and overlaps.
void PlaceData(std::vector<Entry*> entries, std::span<const uint8_t> data,
               const std::string& path) {
  std::sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  uint64_t at = 0;
  for (Entry* e : entries) {
    RequireFile(e->begin == at, e->tensor.where, ": begins at byte ", e->begin,
                " of the data, needs ", at, ", where the one before it ends");
    RequireFile(e->end <= data.size(), e->tensor.where, ": ends at byte ", e->end,
                " of the data, which has ", data.size());
    e->tensor.bytes = data.subspan(e->begin, e->end - e->begin);
    at = e->end;
  }
  RequireFile(at == data.size(), path, ": has ", data.size(), " bytes of data, its tensors take ",
              at);
}

Safetensors ReadShards(const std::filesystem::path& folder) {
  const std::filesystem::path index_path = folder / kIndex;
  const std::string index = index_path.string();
  const Json json = ParseObject(ReadFile(index_path, kMaxHeader), index);
  RequireFile(json.contains("weight_map") && json["weight_map"].is_object(), index,
              ": has no weight_map");
  std::map<std::string, std::set<std::string>> files;  // the tensors of each
  for (const auto& [name, file] : json["weight_map"].items()) {
    const std::string shard = String(file, Cat(index, ": ", Quoted(name)));
    const bool plain =
        std::filesystem::path(shard).filename() == shard && shard != "." && shard != "..";
    RequireFile(plain && !shard.empty(), index, ": ", Quoted(name), " lies in ", Quoted(shard),
                ", needs a file of this folder");
    files[shard].insert(name);
  }
  Safetensors all;
  all.path = folder.string();
  for (const auto& [shard, names] : files) {
    Safetensors part = ParseSafetensors(MappedFile(folder / shard));
    for (const std::string& name : names) part.At(name);
    for (const auto& [name, tensor] : part.tensors)
      RequireFile(names.contains(name), tensor.where, ": ", kIndex, " does not place it here");
    all.tensors.merge(part.tensors);
    all.metadata.merge(part.metadata);
  }
  return all;
}

}  // namespace

Safetensors ParseSafetensors(const MappedFile& file) {
  const std::string& path = file.name();
  const std::span<const uint8_t> bytes = file.bytes();
  uint64_t size = 0;
  RequireFile(bytes.size() >= sizeof size, path, ": has ", bytes.size(),
              " bytes, too few for a safetensors file");
  std::memcpy(&size, bytes.data(), sizeof size);
  RequireFile(size <= kMaxHeader, path, ": has a safetensors header of ", size,
              " bytes, the limit is ", kMaxHeader);
  RequireFile(size <= bytes.size() - sizeof size, path, ": its safetensors header needs ", size,
              " bytes, the file has ", bytes.size() - sizeof size);
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + sizeof size, size);
  RequireFile(header.starts_with('{'), path, ": its safetensors header does not begin with '{'");

  Safetensors result;
  result.path = path;
  std::map<std::string, Entry> entries;
  std::vector<Entry*> order;
  const Json table = ParseObject(header, path + ": header");
  for (const auto& [name, json] : table.items()) {
    if (name == kMetadata) {
      RequireFile(json.is_object(), path, ": ", kMetadata, " is no object");
      for (const auto& [key, value] : json.items())
        result.metadata[key] = String(value, Cat(path, ": ", kMetadata, ": ", Quoted(key)));
      continue;
    }
    Entry entry = ParseEntry(json, Cat(path, ": tensor ", Quoted(name)), file);
    order.push_back(&entries.emplace(name, std::move(entry)).first->second);
  }
  PlaceData(order, bytes.subspan(sizeof size + size), path);
  for (auto& [name, entry] : entries) result.tensors.emplace(name, std::move(entry.tensor));
  return result;
}

Safetensors ReadSafetensors(const std::filesystem::path& path) {
  std::error_code none;
  if (!std::filesystem::is_directory(path, none)) return ParseSafetensors(MappedFile(path));
  if (std::filesystem::exists(path / kIndex, none)) return ReadShards(path);
  return ParseSafetensors(MappedFile(path / "model.safetensors"));
}

CheckpointWriter WriteSafetensors(const std::filesystem::path& path,
                                  std::vector<TensorSpec> tensors,
                                  const SafetensorsMetadata& metadata) {
  const std::string where = path.string();
  const std::vector<uint64_t> sizes = CheckSpecs(where, tensors);
  nlohmann::ordered_json::object_t header;
  if (!metadata.empty()) header.push_back({kMetadata, metadata});
  uint64_t at = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const StorageInfo& info = Info(tensors[i].storage);
    Require(info.elements == 1 && tensors[i].name != kMetadata, where, ": tensor ",
            Quoted(tensors[i].name), " of ", info.name, " cannot be in a safetensors file");
    header.push_back({tensors[i].name,
                      {{"dtype", info.name},
                       {"shape", tensors[i].shape},
                       {"data_offsets", {at, at + sizes[i]}}}});
    at += sizes[i];
  }
  std::string text;
  try {
    text = nlohmann::ordered_json(std::move(header)).dump();
  } catch (const Json::exception& e) {
    throw UsageError(Cat(where, ": a name is no UTF-8: ", e.what()));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  Require(text.size() <= kMaxHeader, where, ": the header would have ", text.size(),
          " bytes, the limit is ", kMaxHeader);
  const uint64_t size = text.size();
  text.insert(0, reinterpret_cast<const char*>(&size), sizeof size);
  return CheckpointWriter(path, std::move(tensors), text, 1);
}

}  // namespace mezzo
