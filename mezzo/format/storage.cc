#include "mezzo/format/storage.h"

#include <bit>
#include <cstring>
#include <iterator>

#include "mezzo/format/fp8.h"
#include "mezzo/format/gguf_blocks.h"
#include "mezzo/format/half.h"

static_assert(std::endian::native == std::endian::little, "checkpoints are little-endian");

namespace mezzo {
namespace {

template <class T, auto Convert>
void DecodeEach(const uint8_t* from, size_t count, float* out) {
  for (; count > 0; --count, from += sizeof(T)) {
    T value;
    std::memcpy(&value, from, sizeof value);
    *out++ = Convert(value);
  }
}

template <class T>
float Round(T value) {
  return static_cast<float>(value);
}

float BoolToFloat(uint8_t b) { return b != 0; }

template <class T, auto Convert = Round<T>>
constexpr StorageInfo Plain(Storage s, std::string_view name, int gguf_type = -1) {
  return {s, name, 1, sizeof(T), gguf_type, DecodeEach<T, Convert>};
}

template <class Block>
constexpr StorageInfo Blocks(Storage s, std::string_view name, int gguf_type) {
  return {s, name, Block::kElements, sizeof(Block), gguf_type, DecodeBlocks<Block>};
}

constexpr StorageInfo kTable[] = {
    Plain<double>(Storage::kF64, "F64", 28),
    Plain<float>(Storage::kF32, "F32", 0),
    Plain<uint16_t, HalfToFloat>(Storage::kF16, "F16", 1),
    Plain<uint16_t, BFloat16ToFloat>(Storage::kBF16, "BF16", 30),
    Plain<uint8_t, Fp8E4M3ToFloat>(Storage::kF8E4M3, "F8_E4M3"),
    Plain<uint8_t, Fp8E5M2ToFloat>(Storage::kF8E5M2, "F8_E5M2"),
    Plain<int64_t>(Storage::kI64, "I64", 27),
    Plain<int32_t>(Storage::kI32, "I32", 26),
    Plain<int16_t>(Storage::kI16, "I16", 25),
    Plain<int8_t>(Storage::kI8, "I8", 24),
    Plain<uint64_t>(Storage::kU64, "U64"),
    Plain<uint32_t>(Storage::kU32, "U32"),
    Plain<uint16_t>(Storage::kU16, "U16"),
    Plain<uint8_t>(Storage::kU8, "U8"),
    Plain<uint8_t, BoolToFloat>(Storage::kBool, "BOOL"),
    Blocks<BlockQ8_0>(Storage::kQ8_0, "Q8_0", 8),
    Blocks<BlockQ4_0>(Storage::kQ4_0, "Q4_0", 2),
    Blocks<BlockQ4_1>(Storage::kQ4_1, "Q4_1", 3),
    Blocks<BlockQ5_0>(Storage::kQ5_0, "Q5_0", 6),
    Blocks<BlockQ5_1>(Storage::kQ5_1, "Q5_1", 7),
    Blocks<BlockQ4_K>(Storage::kQ4K, "Q4_K", 12),
    Blocks<BlockQ5_K>(Storage::kQ5K, "Q5_K", 13),
    Blocks<BlockQ6_K>(Storage::kQ6K, "Q6_K", 14),
    Blocks<BlockIQ4_NL>(Storage::kIQ4NL, "IQ4_NL", 20),
};

constexpr bool InOrder() {
  for (size_t i = 0; i < std::size(kTable); ++i)
    if (kTable[i].storage != static_cast<Storage>(i)) return false;
  return true;
}
static_assert(InOrder());

}  // namespace

std::span<const StorageInfo> AllStorages() { return kTable; }

const StorageInfo& Info(Storage s) { return kTable[static_cast<size_t>(s)]; }

}  // namespace mezzo
