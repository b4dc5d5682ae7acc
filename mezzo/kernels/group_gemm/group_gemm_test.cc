#include "mezzo/kernels/group_gemm/group_gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <tuple>

#include "mezzo/base/cpu.h"
#include "mezzo/format/half.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

GroupCodes RandomCodes(const GroupFormat& format, int64_t rows, int64_t cols, unsigned seed) {
  GroupCodes w{format, rows, cols};
  std::mt19937 random(seed);
  for (int64_t i = 0; i < rows * cols; ++i) w.codes.push_back(random() % 16);
  for (int64_t i = 0; i < rows * w.groups(); ++i) {
    const float scale = std::exp2(static_cast<float>(random() % 1000) / 100 - 8);
    w.scales.push_back(BFloat16ToFloat(FloatToBFloat16(scale)));
    if (format.zero_points) w.zeros.push_back(random() % 16);
  }
  if (format.fp8) w.outer = 0x1p-4f;
  return w;
}

struct Case {
  const char* codes;
  bool zero_points;
  int64_t group, weight_group, scale_group;
};

class GroupGemmTest : public testing::TestWithParam<Case> {};

// Every count of tokens and rows that takes another path; all codes at the largest activations too.
TEST_P(GroupGemmTest, IsThePlainLoopBitForBit) {
  const Case c = GetParam();
  const GroupFormat format{FindCodebook(c.codes), c.weight_group, c.zero_points, {}};
  for (const int64_t tokens : {1, 2, 3, 4, 5, 6, 7, 66})
    for (const int64_t rows : {1, 8, 23, 40}) {
      const int64_t depth = 384;
      const PackedGroups w(RandomCodes(format, rows, depth, 1), c.group);
      const PackedGroups other(RandomCodes(format, 19, depth, 2), c.group);
      Tensor x = NormalTensor({tokens, depth}, 3);
      for (int64_t k = 0; k < depth; ++k) x.data<float>()[k] = k % 3 ? 9.0f : -9.0f;
      std::fill_n(x.data<float>() + (tokens - 1) * depth, 128, 0.0f);
      GroupActivations a;
      a.Round(x.data<float>(), depth, tokens, depth, c.scale_group, c.group, {});
      std::vector<float> want(tokens * rows), got(tokens * (rows + 5), -1.0f), y2(tokens * 19),
          want2(tokens * 19);
      GroupGemmRef(a, {&w, want.data(), rows});
      GroupGemmRef(a, {&other, want2.data(), 19});
      const Tensor bias = NormalTensor({19}, 4), b = NormalTensor({5, 19}, 5),
                   path_x = NormalTensor({tokens, 7}, 6);
      const PackedB path_b(b.data<float>(), 5, 19, 19, 1, {});
      for (int64_t i = 0; i < tokens * 19; ++i) want2[i] += bias.data<float>()[i % 19];
      Sgemm(path_x.data<float>(), 7, tokens, path_b, want2.data(), 19, {want2.data(), 19}, {});
      for (const Isa isa : SupportedIsas()) {
        const ScopedIsa scoped(isa);
        const GroupProduct both[] = {
            {&w, got.data(), rows + 5},
            {&other, y2.data(), 19, bias.data<float>(), &path_b, path_x.data<float>(), 7}};
        GroupGemm(a, both, Threads(3));
        for (int64_t t = 0; t < tokens; ++t) {
          for (int64_t r = 0; r < rows; ++r)
            ASSERT_EQ(got[t * (rows + 5) + r], want[t * rows + r])
                << t << "," << r << " " << Name(isa);
          ASSERT_EQ(got[t * (rows + 5) + rows], -1.0f);
        }
        EXPECT_EQ(y2, want2);
      }
    }
}

INSTANTIATE_TEST_SUITE_P(Formats, GroupGemmTest,
                         testing::Values(Case{"int4", false, 64, 64, 64},
                                         Case{"int4", true, 32, 32, 0},
                                         Case{"nf4i", false, 64, 64, 128},
                                         Case{"nf4i", false, 16, 64, 16},
                                         Case{"nf4i", false, 128, 128, 0}));

TEST(GroupGemm, AGateIsBothProductsAndSilu) {
  const int64_t rows = 150, depth = 128;
  const GroupFormat format{FindCodebook("nf4i"), 64, false, {}};
  const PackedGroups gate(RandomCodes(format, rows, depth, 1)),
      up(RandomCodes(format, rows, depth, 2));
  const Tensor bias = NormalTensor({rows}, 4), b = NormalTensor({5, rows}, 5);
  const PackedB path_b(b.data<float>(), 5, rows, rows, 1, {});
  for (const int64_t tokens : {1, 6, 7, 300}) {
    const Tensor x = NormalTensor({tokens, depth}, 3), path_x = NormalTensor({tokens, 5}, 6);
    GroupActivations a;
    a.Round(x.data<float>(), depth, tokens, depth, 64, 64, {});
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      std::vector<float> gates(tokens * rows), want(tokens * rows), got(tokens * (rows + 3), -1.0f);
      GroupProduct products[] = {
          {&gate, gates.data(), rows, nullptr, &path_b, path_x.data<float>(), 5},
          {&up, want.data(), rows, bias.data<float>()}};
      GroupGemm(a, products, {});
      vmath::SiluTimes(gates.data(), want.data(), want.data(), want.size());
      products[1].y = got.data(), products[1].y_stride = rows + 3;
      GroupGemmGated(a, products[0], products[1], Threads(3));
      for (int64_t t = 0; t < tokens; ++t) {
        ASSERT_TRUE(std::equal(want.begin() + t * rows, want.begin() + (t + 1) * rows,
                               got.begin() + t * (rows + 3)))
            << t << " " << Name(isa);
        ASSERT_EQ(got[t * (rows + 3) + rows], -1.0f);
      }
    }
  }
}

TEST(GroupGemm, RoundsAlikeOnAllSets) {
  for (const float size : {1.0f, 1e-37f, 3e37f, INFINITY}) {
    const int64_t tokens = 400, depth = 72;
    Tensor x = NormalTensor({tokens, depth}, 5);
    for (int64_t i = 0; i < x.numel(); ++i)
      x.data<float>()[i] = i % 3 ? x.data<float>()[i] * size : static_cast<float>(i % 255) / 2;
    for (int64_t t = 0; t < tokens; t += 2) x.data<float>()[t * depth] = 127;  // ties
    const auto rounded = [&](Isa isa) {
      const ScopedIsa scoped(isa);
      GroupActivations a;
      a.Round(x.data<float>(), depth, tokens, depth, 24, 24, {});
      return std::tuple(std::vector<int8_t>(a.codes(0, 0), a.codes(0, 0) + tokens * depth),
                        std::vector<int32_t>(a.sum(0, 0), a.sum(0, 0) + tokens * a.groups()));
    };
    for (const Isa isa : SupportedIsas()) EXPECT_EQ(rounded(isa), rounded(Isa::kAvx2)) << size;
  }
}

TEST(GroupGemm, TheProductIsThatOfTheRoundedActivations) {
  const GroupCodes codes = RandomCodes({FindCodebook("nf4i"), 64, false, {}}, 10, 128, 1);
  const Tensor x = NormalTensor({5, 128}, 3), w = codes.Dequantize();
  const PackedGroups packed(codes);
  GroupActivations a;
  a.Round(x.data<float>(), 128, 5, 128, 64, 64, {});
  float y[50];
  const GroupProduct product{&packed, y, 10};
  GroupGemm(a, {&product, 1}, {});
  for (int64_t t = 0; t < 5; ++t)
    for (int64_t r = 0; r < 10; ++r) {
      double sum = 0, size = 0;
      for (int64_t k = 0; k < 128; ++k) {
        const float scale = *a.scale(t, k / 64), rounded = scale * a.codes(t, k / 64)[k % 64];
        EXPECT_NEAR(rounded, x.data<float>()[t * 128 + k], 0.5001f * scale);
        const double p = double(rounded) * w.data<float>()[r * 128 + k];
        sum += p, size += std::fabs(p);
      }
      EXPECT_NEAR(y[t * 10 + r], sum, 1e-6 * size);
    }
}

TEST(GroupGemm, TheFloatFormIsTheProductWithTheDequantizedMatrix) {
  for (const char* name : {"int4", "nf4", "iq4nl"})
    for (const bool zeros : {false, true})
      for (const bool fp8 : {false, true}) {
        GroupFormat format{FindCodebook(name), 32, zeros, {}};
        if (fp8) format.fp8 = zeros ? kE4M3FNUZ : kE4M3FN;
        const GroupCodes codes = RandomCodes(format, 29, 96, 7);
        const PackedGroups packed(codes);
        const Tensor w = codes.Dequantize();
        for (const int64_t tokens : {1, 9}) {
          const Tensor x = NormalTensor({tokens, 96}, 5);
          const Tensor bias = NormalTensor({29}, 4), b = NormalTensor({5, 29}, 5),
                       path_x = NormalTensor({tokens, 5}, 6);
          const PackedB path_b(b.data<float>(), 5, 29, 29, 1, {});
          std::vector<float> want(tokens * 29), got(tokens * 29);
          SgemmRef(x.data<float>(), 96, tokens, 29, 96, w.data<float>(), 1, 96, want.data(), 29,
                   {bias.data<float>(), 0});
          Sgemm(path_x.data<float>(), 5, tokens, path_b, want.data(), 29, {want.data(), 29}, {});
          const GroupProduct product{&packed, got.data(),           29, bias.data<float>(),
                                     &path_b, path_x.data<float>(), 5};
          GroupGemmFloat(x.data<float>(), 96, tokens, {&product, 1}, Threads(2));
          EXPECT_EQ(got, want) << name << zeros << fp8;
        }
      }
}

TEST(GroupGemm, RefusesWhatHasNoIntegers) {
  EXPECT_FALSE(PackedGroups::HasIntegers({FindCodebook("nf4"), 64, false, {}}));
  EXPECT_FALSE(PackedGroups::HasIntegers({FindCodebook("iq4nl"), 64, false, {}}));
  EXPECT_FALSE(PackedGroups::HasIntegers({FindCodebook("int4"), 64, false, kE4M3FN}));
  EXPECT_THROW(PackedGroups(RandomCodes({FindCodebook("int4"), 12, false, {}}, 8, 24, 1)),
               UsageError);
  const PackedGroups w(RandomCodes({FindCodebook("int4"), 32, false, {}}, 8, 64, 1));
  GroupActivations a;
  const std::vector<float> x(64);
  EXPECT_THROW(a.Round(x.data(), 64, 1, 64, 32, 24, {}), UsageError);
  a.Round(x.data(), 64, 1, 64, 64, 64, {});
  float y[8];
  const GroupProduct product{&w, y, 8};
  EXPECT_THROW(GroupGemm(a, {&product, 1}, {}), UsageError);
}

}  // namespace
}  // namespace mezzo
