// The block formats of GGUF files (ggml's names): runs of 32 or 256 weights that share scales.
//
// Below, d, m and dmin are binary16, q is a code, and elements are numbered within their block; a
// nibble array of n bytes holds element j in the low half of byte j and element j + n in the high
// half. Arithmetic is in float, in the order written, without fused operations: every decoder gives
// the bits that ggml's reference does. Numbers in blocks are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace mezzo {

struct BlockQ8_0 {  // d * q, q in -128..127
  static constexpr size_t kElements = 32;
  uint16_t d;
  int8_t codes[32];
};
struct BlockQ4_0 {  // d * (q - 8)
  static constexpr size_t kElements = 32;
  uint16_t d;
  uint8_t nibbles[16];
};
struct BlockQ4_1 {  // d * q + m
  static constexpr size_t kElements = 32;
  uint16_t d, m;
  uint8_t nibbles[16];
};
struct BlockQ5_0 {  // d * (q - 16); bit j of `high` is bit 4 of code j
  static constexpr size_t kElements = 32;
  uint16_t d;
  uint8_t high[4];
  uint8_t nibbles[16];
};
struct BlockQ5_1 {  // d * q + m
  static constexpr size_t kElements = 32;
  uint16_t d, m;
  uint8_t high[4];
  uint8_t nibbles[16];
};
struct BlockIQ4_NL {  // d * level[q], 16 levels that are denser near zero
  static constexpr size_t kElements = 32;
  uint16_t d;
  uint8_t nibbles[16];
};

// The super-blocks: 8 groups of 32, each with a 6-bit scale and minimum; a 32-byte nibble array for
// every two groups.
struct BlockQ4_K {  // (d * scale) * q - dmin * minimum
  static constexpr size_t kElements = 256;
  uint16_t d, dmin;
  // Groups 0-3: scale in the low 6 bits of byte g, minimum in those of byte g + 4. Groups 4-7: low
  // 4 bits in byte g + 4 (scale, minimum << 4), high 2 bits atop bytes g - 4 and g.
  uint8_t scales[12];
  uint8_t nibbles[128];
};
struct BlockQ5_K {  // the same; bit g of high[j] is bit 4 of code j of group g
  static constexpr size_t kElements = 256;
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t nibbles[128];
};
struct BlockQ6_K {  // (d * scale) * (q - 32), a scale for 16 elements
  static constexpr size_t kElements = 256;
  uint8_t nibbles[128];  // two arrays of 64
  uint8_t high[64];      // element 128 h + 32 k + j has bits 4 and 5 in bits 2 k of high[32 h + j]
  int8_t scales[16];
  uint16_t d;
};

static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20);
static_assert(sizeof(BlockQ5_0) == 22 && sizeof(BlockQ5_1) == 24 && sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

// Writes the block's kElements values.
void Decode(const BlockQ8_0& b, float* out);
void Decode(const BlockQ4_0& b, float* out);
void Decode(const BlockQ4_1& b, float* out);
void Decode(const BlockQ5_0& b, float* out);
void Decode(const BlockQ5_1& b, float* out);
void Decode(const BlockIQ4_NL& b, float* out);
void Decode(const BlockQ4_K& b, float* out);
void Decode(const BlockQ5_K& b, float* out);
void Decode(const BlockQ6_K& b, float* out);

// `count` blocks one after another, of any alignment.
template <class Block>
void DecodeBlocks(const uint8_t* from, size_t count, float* out) {
  for (; count > 0; --count, from += sizeof(Block), out += Block::kElements) {
    Block block;
    std::memcpy(&block, from, sizeof block);
    Decode(block, out);
  }
}

// Blocks of given codes, 32 for each scale; the codes are those of value = scale * code (+ offset).
// UsageError if the numbers do not match, a code is out of range, or a scale or offset is no
// binary16, since the file would then not hold what was given.
std::vector<uint8_t> PackQ8_0(std::span<const int8_t> codes, std::span<const float> scales);
std::vector<uint8_t> PackQ4_0(std::span<const int8_t> codes,  // -8..7
                              std::span<const float> scales);
std::vector<uint8_t> PackQ4_1(std::span<const int8_t> codes,  // 0..15
                              std::span<const float> scales, std::span<const float> offsets);
std::vector<uint8_t> PackIQ4_NL(std::span<const int8_t> codes,  // 0..15, of value = scale * level
                                std::span<const float> scales);

}  // namespace mezzo
