#include "mezzo/import/llm/shards.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"
#include "mezzo/format/half.h"

namespace mezzo {

using Json = nlohmann::ordered_json;

TensorBytes ToBytes(const std::string& name, const Tensor& t) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(t.data<float>());
  return {{name, Storage::kF32, t.shape()}, {bytes, bytes + t.bytes()}};
}

TensorBytes ToBFloat16(const std::string& name, const Tensor& t) {
  std::vector<uint16_t> codes;
  for (const float v : t.span<float>()) codes.push_back(FloatToBFloat16(v));
  return ToBytes(name, Storage::kBF16, t.shape(), codes);
}

std::filesystem::path PartOf(const std::filesystem::path& out) {
  return (out.has_filename() ? out : out.parent_path()).string() + ".part";
}

std::string ShardName(int64_t i, int64_t count) {
  char name[64];
  std::snprintf(name, sizeof(name), "model-%05d-of-%05d.safetensors", static_cast<int>(i + 1),
                static_cast<int>(count));
  return name;
}

void WriteTensors(const std::filesystem::path& file, const std::vector<TensorBytes>& tensors,
                  const SafetensorsMetadata& metadata) {
  std::vector<TensorSpec> specs;
  for (const TensorBytes& t : tensors) specs.push_back(t.spec);
  CheckpointWriter writer = WriteSafetensors(file, specs, metadata);
  for (const TensorBytes& t : tensors) writer.Add(t.spec.name, t.bytes.data(), t.bytes.size());
  writer.Commit();
}

void WriteShardIndex(const std::filesystem::path& folder, int64_t count) {
  Json map = Json::object();
  uint64_t total = 0;
  for (int64_t i = 0; i < count; ++i)
    for (const auto& [name, t] : ReadSafetensors(folder / ShardName(i, count)).tensors) {
      map[name] = ShardName(i, count);
      total += t.bytes.size();
    }
  WriteFile(folder / "model.safetensors.index.json",
            Json{{"metadata", {{"total_size", total}}}, {"weight_map", map}}.dump(1) + "\n");
}

}  // namespace mezzo
