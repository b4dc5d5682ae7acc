// GGUF files, versions 2 and 3, little-endian.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
//   "GGUF" | version (4 bytes) | tensors, metadata entries (8 each) |
//   metadata: key, type (4), value | tensors: name, rank (4), dimensions (8 each, the fastest
//   first), type (4), offset (8) | padding | data, every tensor at a multiple of the alignment
//
// Text is its length (8 bytes) and its bytes; an array is a type (4), a count (8) and the values.
// Refused with a FileError that names the file and the key or tensor: what ends before its counts
// say; arrays of arrays; keys or tensors that come twice; types that storage.h does not list;
// tensors that do not follow one another as ggml lays them out, or end behind the file. Bytes after
// the last tensor are left alone.
#pragma once

#include <utility>
#include <variant>

#include "mezzo/checkpoint/checkpoint.h"

namespace mezzo {

// Scalars stand at the number of their type in the file, arrays at 13 + that of their elements;
// monostate keeps the places of the array type and is never a value.
using GgufValue = std::variant<uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t, float, bool,
                               std::string, std::monostate, uint64_t, int64_t, double,  //
                               std::vector<uint8_t>, std::vector<int8_t>, std::vector<uint16_t>,
                               std::vector<int16_t>, std::vector<uint32_t>, std::vector<int32_t>,
                               std::vector<float>, std::vector<bool>, std::vector<std::string>,
                               std::vector<std::monostate>, std::vector<uint64_t>,
                               std::vector<int64_t>, std::vector<double>>;
inline constexpr size_t kGgufScalars = 13;

using GgufMetadata = std::vector<std::pair<std::string, GgufValue>>;  // in the file's order

// "uint32", "string", "array of float32"
std::string GgufTypeName(const GgufValue& value);
const GgufValue* Find(const GgufMetadata& metadata, std::string_view key);  // nullptr: not there
// What general.alignment asks for, 32 without it; none if it is not what it must be.
std::optional<uint32_t> GgufAlignment(const GgufMetadata& metadata);
inline constexpr std::string_view kGgufAlignmentRule = "a uint32 power of two from 8 on";

struct Gguf : Checkpoint {
  uint32_t version = 3;
  GgufMetadata metadata;

  // The value of a key that must be there with that type: Get<std::string>("general.architecture"),
  // Get<std::vector<std::string>>("tokenizer.ggml.tokens"). FileError otherwise.
  template <class T>
  const T& Get(std::string_view key) const {
    const GgufValue* value = Find(metadata, key);
    const T* found = value ? std::get_if<T>(value) : nullptr;
    if (!found) Refuse(key, GgufTypeName(T{}));
    return *found;
  }
  // The same for an integer of any type.
  int64_t Int(std::string_view key) const;

 private:
  [[noreturn]] void Refuse(std::string_view key, const std::string& need) const;
};

Gguf ReadGguf(const std::filesystem::path& path);
Gguf ParseGguf(const MappedFile& file);

// Begins a version 3 file with these tensors in this order. UsageError for what GGUF or llama.cpp
// cannot take: a tensor without a ggml_type, of rank over 4, with a name of 64 bytes or more; a key
// that is empty, over 65535 bytes, or comes twice; another general.alignment.
CheckpointWriter WriteGguf(const std::filesystem::path& path, std::vector<TensorSpec> tensors,
                           const GgufMetadata& metadata);

}  // namespace mezzo
