// Models in a folder of several safetensors files.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/import/llm/quantized.h"

namespace mezzo {

template <class T>
TensorBytes ToBytes(const std::string& name, Storage storage, Shape shape,
                    const std::vector<T>& v) {
  TensorBytes t{{name, storage, std::move(shape)}, std::vector<uint8_t>(v.size() * sizeof(T))};
  std::memcpy(t.bytes.data(), v.data(), t.bytes.size());
  return t;
}
TensorBytes ToBytes(const std::string& name, const Tensor& t);     // of floats
TensorBytes ToBFloat16(const std::string& name, const Tensor& t);  // floats, rounded

// Where a folder is made before it gets its name: OUT.part, also for "OUT/".
std::filesystem::path PartOf(const std::filesystem::path& out);

// "model-00001-of-00032.safetensors" is the first of 32.
std::string ShardName(int64_t i, int64_t count);

void WriteTensors(const std::filesystem::path& file, const std::vector<TensorBytes>& tensors,
                  const SafetensorsMetadata& metadata = {{"format", "pt"}});

// model.safetensors.index.json, from the shards that are there.
void WriteShardIndex(const std::filesystem::path& folder, int64_t count);

}  // namespace mezzo
