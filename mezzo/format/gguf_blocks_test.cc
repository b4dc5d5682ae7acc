// What is packed decodes to scale * code (+ offset). That every decoder gives the bits of the gguf
// package on random bytes is shown in checkpoint/gguf_test.cc.
#include "mezzo/format/gguf_blocks.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/format/codebook.h"

namespace mezzo {
namespace {

constexpr float kScale = 0.375f, kOffset = -2.5f;  // exact in binary16, as are their products

// All codes from `low` to `high`, again and again, until whole blocks are full.
std::vector<int8_t> Codes(int low, int high) {
  std::vector<int8_t> codes;
  for (int c = low; codes.size() < 512; c = c == high ? low : c + 1)
    codes.push_back(static_cast<int8_t>(c));
  return codes;
}

template <class Block>
void ExpectValues(const std::vector<uint8_t>& bytes, const std::vector<int8_t>& codes,
                  float offset) {
  ASSERT_EQ(bytes.size(), codes.size() / Block::kElements * sizeof(Block));
  std::vector<float> values(codes.size());
  DecodeBlocks<Block>(bytes.data(), codes.size() / Block::kElements, values.data());
  for (size_t i = 0; i < codes.size(); ++i)
    ASSERT_EQ(values[i], kScale * static_cast<float>(codes[i]) + offset) << i;
}

TEST(GgufBlocks, PackedCodesDecodeToTheirValues) {
  const std::vector<float> scales(512 / 32, kScale), offsets(512 / 32, kOffset);
  const auto q8 = Codes(-128, 127), q4 = Codes(-8, 7), q4u = Codes(0, 15);
  ExpectValues<BlockQ8_0>(PackQ8_0(q8, scales), q8, 0);
  ExpectValues<BlockQ4_0>(PackQ4_0(q4, scales), q4, 0);
  ExpectValues<BlockQ4_1>(PackQ4_1(q4u, scales, offsets), q4u, kOffset);
}

TEST(GgufBlocks, LevelsAreTheCodebooks) {
  const std::vector<int8_t> codes = Codes(0, 15);
  const auto bytes = PackIQ4_NL(codes, std::vector<float>(512 / 32, kScale));
  std::vector<float> values(codes.size());
  DecodeBlocks<BlockIQ4_NL>(bytes.data(), codes.size() / 32, values.data());
  for (size_t i = 0; i < codes.size(); ++i)
    ASSERT_EQ(values[i], kScale * FindCodebook("iq4nl")->values[codes[i]]) << i;
}

TEST(GgufBlocks, PackRefusesWhatTheFileWouldNotHold) {
  const std::vector<int8_t> codes(32, 7), eight(32, 8), minus(32, -1);
  const std::vector<float> one{1.0f};
  for (const float scale : {0.1f, 1e-9f, 65536.0f, INFINITY, NAN})
    EXPECT_THROW(PackQ4_0(codes, std::vector{scale}), UsageError) << scale;
  EXPECT_THROW(PackQ4_0(eight, one), UsageError);
  EXPECT_THROW(PackQ4_1(minus, one, one), UsageError);
  EXPECT_THROW(PackQ4_1(codes, one, std::vector{0.1f}), UsageError);
  EXPECT_THROW(PackQ4_1(codes, one, {}), UsageError);
  EXPECT_THROW(PackQ8_0(std::span(codes).first(31), one), UsageError);
  EXPECT_THROW(PackQ8_0(codes, std::vector{1.0f, 1.0f}), UsageError);
  EXPECT_TRUE(PackQ8_0({}, {}).empty());
}

}  // namespace
}  // namespace mezzo
