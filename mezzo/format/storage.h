// How the numbers of a tensor lie in a checkpoint: the element types of safetensors and the block
// formats of GGUF, in one table. What all of them have in common is that they read as float.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace mezzo {

enum class Storage : uint8_t {
  // clang-format off
  kF64, kF32, kF16, kBF16, kF8E4M3, kF8E5M2,                       // reals
  kI64, kI32, kI16, kI8, kU64, kU32, kU16, kU8, kBool,             // integers
  kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4K, kQ5K, kQ6K, kIQ4NL,     // blocks (gguf_blocks.h)
  // clang-format on
};

struct StorageInfo {
  Storage storage;
  std::string_view name;  // as safetensors headers and GGUF tools write it
  size_t elements;        // that are coded together, next to each other: 1, 32 or 256
  size_t bytes;           // they take
  int gguf_type;          // ggml_type; -1: GGUF has none. safetensors has all whose `elements` is 1

  // Writes count * elements values. Exact but for float64 and integers over 24 bits, which round to
  // the nearest float; a bool is 0 or 1; NaN stays NaN. `from` may have any alignment.
  void (*decode)(const uint8_t* from, size_t count, float* out);
};

std::span<const StorageInfo> AllStorages();  // in the order of the enum
const StorageInfo& Info(Storage s);

}  // namespace mezzo
