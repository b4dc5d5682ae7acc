#include "mezzo/format/gguf_blocks.h"

#include <bit>
#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/format/half.h"

static_assert(std::endian::native == std::endian::little, "blocks are little-endian");

namespace mezzo {
namespace {

constexpr float kLevelsIQ4_NL[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                     1,    13,   25,  38,  53,  69,  89,  113};

// Code j of a nibble array of n bytes.
int Nibble(const uint8_t* nibbles, size_t n, size_t j) {
  return j < n ? nibbles[j] & 15 : nibbles[j - n] >> 4;
}

// Code j of a block of 32 with five bits.
template <class Block>
int Code5(const Block& b, size_t j) {
  return Nibble(b.nibbles, 16, j) | (b.high[j / 8] >> (j % 8) & 1) << 4;
}

struct ScaleMin {
  float scale, minimum;
};

ScaleMin GroupScale(const uint8_t* s, size_t g) {
  if (g < 4) return {static_cast<float>(s[g] & 63), static_cast<float>(s[g + 4] & 63)};
  return {static_cast<float>((s[g + 4] & 15) | (s[g - 4] >> 6) << 4),
          static_cast<float>(s[g + 4] >> 4 | (s[g] >> 6) << 4)};
}

// Q4_K and Q5_K: high_bit(group, j) is bit 4 of a code.
template <class Block, class HighBit>
void DecodeGroups(const Block& b, float* out, HighBit&& high_bit) {
  const float d = HalfToFloat(b.d), dmin = HalfToFloat(b.dmin);
  for (size_t g = 0; g < 8; ++g) {
    const auto [scale, minimum] = GroupScale(b.scales, g);
    const float step = d * scale, offset = dmin * minimum;
    const uint8_t* nibbles = b.nibbles + g / 2 * 32;
    for (size_t j = 0; j < 32; ++j) {
      const int q = Nibble(nibbles, 32, g % 2 * 32 + j) | high_bit(g, j) << 4;
      *out++ = step * static_cast<float>(q) - offset;
    }
  }
}

uint16_t ExactHalf(float f, const char* what) {
  const uint16_t h = FloatToHalf(f);
  Require(std::isfinite(f) && HalfToFloat(h) == f, what, " ", f, " is no finite binary16");
  return h;
}

// One block for each scale; set(block, i, code) for the codes in `low..high`.
template <class Block, class Set>
std::vector<Block> Pack(std::span<const int8_t> codes, std::span<const float> scales, int low,
                        int high, Set&& set) {
  constexpr size_t n = Block::kElements;
  Require(codes.size() % n == 0 && scales.size() == codes.size() / n, "pack: ", codes.size(),
          " codes and ", scales.size(), " scales, needs one scale for ", n, " codes");
  std::vector<Block> blocks(scales.size());
  for (size_t b = 0; b < blocks.size(); ++b) blocks[b].d = ExactHalf(scales[b], "pack: scale");
  for (size_t i = 0; i < codes.size(); ++i) {
    Require(low <= codes[i] && codes[i] <= high, "pack: code ", int{codes[i]}, ", needs ", low,
            " to ", high);
    set(blocks[i / n], i % n, codes[i]);
  }
  return blocks;
}

// `code` is 0..15, and the nibble 0 before.
void SetNibble(uint8_t* nibbles, size_t i, int code) {
  nibbles[i % 16] |= static_cast<uint8_t>(code << (i < 16 ? 0 : 4));
}

template <class Block>
std::vector<uint8_t> Bytes(const std::vector<Block>& blocks) {
  const auto* begin = reinterpret_cast<const uint8_t*>(blocks.data());
  return {begin, begin + blocks.size() * sizeof(Block)};
}

}  // namespace

void Decode(const BlockQ8_0& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(b.codes[j]);
}

void Decode(const BlockQ4_0& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Nibble(b.nibbles, 16, j) - 8);
}

void Decode(const BlockQ4_1& b, float* out) {
  const float d = HalfToFloat(b.d), m = HalfToFloat(b.m);
  for (size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Nibble(b.nibbles, 16, j)) + m;
}

void Decode(const BlockQ5_0& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Code5(b, j) - 16);
}

void Decode(const BlockQ5_1& b, float* out) {
  const float d = HalfToFloat(b.d), m = HalfToFloat(b.m);
  for (size_t j = 0; j < 32; ++j) out[j] = d * static_cast<float>(Code5(b, j)) + m;
}

void Decode(const BlockIQ4_NL& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (size_t j = 0; j < 32; ++j) out[j] = d * kLevelsIQ4_NL[Nibble(b.nibbles, 16, j)];
}

void Decode(const BlockQ4_K& b, float* out) {
  DecodeGroups(b, out, [](size_t, size_t) { return 0; });
}

void Decode(const BlockQ5_K& b, float* out) {
  DecodeGroups(b, out, [&](size_t g, size_t j) { return b.high[j] >> g & 1; });
}

void Decode(const BlockQ6_K& b, float* out) {
  const float d = HalfToFloat(b.d);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128, in_half = i % 128;
    const int low = Nibble(b.nibbles + half * 64, 64, in_half);
    const int high = b.high[half * 32 + i % 32] >> in_half / 32 * 2 & 3;
    out[i] = d * static_cast<float>(b.scales[i / 16]) * static_cast<float>((low | high << 4) - 32);
  }
}

std::vector<uint8_t> PackQ8_0(std::span<const int8_t> codes, std::span<const float> scales) {
  return Bytes(Pack<BlockQ8_0>(codes, scales, -128, 127, [](BlockQ8_0& b, size_t i, int code) {
    b.codes[i] = static_cast<int8_t>(code);
  }));
}

std::vector<uint8_t> PackQ4_0(std::span<const int8_t> codes, std::span<const float> scales) {
  return Bytes(Pack<BlockQ4_0>(codes, scales, -8, 7, [](BlockQ4_0& b, size_t i, int code) {
    SetNibble(b.nibbles, i, code + 8);
  }));
}

std::vector<uint8_t> PackQ4_1(std::span<const int8_t> codes, std::span<const float> scales,
                              std::span<const float> offsets) {
  Require(offsets.size() == scales.size(), "pack: ", offsets.size(), " offsets for ", scales.size(),
          " scales");
  auto blocks = Pack<BlockQ4_1>(codes, scales, 0, 15, [](BlockQ4_1& b, size_t i, int code) {
    SetNibble(b.nibbles, i, code);
  });
  for (size_t b = 0; b < blocks.size(); ++b) blocks[b].m = ExactHalf(offsets[b], "pack: offset");
  return Bytes(blocks);
}

std::vector<uint8_t> PackIQ4_NL(std::span<const int8_t> codes, std::span<const float> scales) {
  return Bytes(Pack<BlockIQ4_NL>(codes, scales, 0, 15, [](BlockIQ4_NL& b, size_t i, int code) {
    SetNibble(b.nibbles, i, code);
  }));
}

}  // namespace mezzo
