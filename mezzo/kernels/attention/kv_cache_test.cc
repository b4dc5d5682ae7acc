#include "mezzo/kernels/attention/kv_cache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/attention/wide_product.h"

namespace mezzo {
namespace {

TEST(WideProduct, IsThePlainOneOnEveryInstructionSet) {
  std::mt19937 random(1);
  for (const int64_t rows : {1, 3, 5, 6, 7, 11, 12, 13, 96})
    for (const int64_t panels : {1, 2, 3, 4})
      for (const int64_t pairs : {1, 7, 32}) {
        const int64_t stride = pairs * 2 + 6, panel = pairs * 2 * WidePanels::kWidth + 64;
        const int64_t columns = panels * WidePanels::kWidth;
        // The ends of what sums allow, and -32768, which NaN becomes.
        const auto top = static_cast<int>(std::sqrt(2147483647.0 / (2.0 * pairs)));
        std::uniform_int_distribution<int> code(-std::min(top, 32768), std::min(top, 32767));
        std::vector<int16_t> a(rows * stride);
        Tensor b(DType::kInt16, {panels * panel});
        for (int16_t& v : a) v = static_cast<int16_t>(code(random));
        for (int16_t& v : b.span<int16_t>()) v = static_cast<int16_t>(code(random));
        if (pairs == 7) a[0] = a[1] = b.data<int16_t>()[0] = b.data<int16_t>()[1] = -32768;
        std::vector<float> row_scales(rows), scales(columns);
        for (float& s : row_scales) s = static_cast<float>(random()) * 1e-9f;
        for (float& s : scales) s = static_cast<float>(random()) * 1e-9f;
        for (const bool scaled : {false, true}) {
          const WideRows left{a.data(), row_scales.data(), rows, stride};
          const WidePanels right{b.data<int16_t>(), pairs, panels, panel,
                                 scaled ? scales.data() : nullptr};
          std::vector<float> want(rows * columns), got(rows * columns);
          WideRunRef(left, right, want.data(), columns);
          for (const Isa isa : SupportedIsas()) {
            const ScopedIsa scope(isa);
            std::fill(got.begin(), got.end(), -1.0f);
            WideProduct(left, right, got.data(), columns);
            ASSERT_EQ(got, want) << Name(isa) << " " << rows << " " << panels << " " << pairs;
          }
        }
      }
}

struct Attention {
  AttentionShape shape;
  int64_t tokens;
  std::vector<float> q, k, v;

  Attention(AttentionShape s, int64_t tokens, float outlier) : shape(s), tokens(tokens) {
    std::mt19937 random(2);
    std::normal_distribution<float> draw;
    q.resize(tokens * s.heads * s.head_size);
    k.resize(tokens * s.kv_heads * s.head_size);
    v.resize(k.size());
    for (auto* x : {&q, &k, &v})
      for (float& value : *x) value = 0.7f * draw(random);
    for (size_t i = 0; i < k.size(); i += 97) k[i] *= outlier, v[i] *= outlier;
  }
  std::vector<float> Run(KvFormat format, int64_t step, size_t threads) const {
    KvCache cache(shape, tokens, format);
    std::vector<float> y(q.size());
    const int64_t wide = shape.heads * shape.head_size, narrow = shape.kv_heads * shape.head_size;
    for (int64_t t = 0; t < tokens; t += step) {
      const int64_t n = std::min(step, tokens - t);
      for (int64_t i = t; i < t + n; ++i)
        cache.Store(i, k.data() + i * narrow, v.data() + i * narrow);
      cache.Attend(q.data() + t * wide, wide, t, n, y.data() + t * wide, wide, Threads(threads));
    }
    return y;
  }
};

double RelativeError(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0, power = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    error += std::pow(got[i] - want[i], 2.0);
    power += std::pow(want[i], 2.0);
  }
  return std::sqrt(error / power);
}

TEST(KvCache, Int16IsCloseAndTheSameBitsHoweverItIsRun) {
  for (const AttentionShape shape : {AttentionShape{6, 2, 64}, {3, 3, 20}, {4, 1, 128}})
    for (const float outlier : {1.0f, 20.0f}) {
      const Attention a(shape, 75, outlier);
      const auto want = a.Run(KvFormat::kFloat, 75, 1), got = a.Run(KvFormat::kInt16, 75, 1);
      // A score is off by the noise of a step of keys and queries (largest / 4095 of 128 channels,
      // over root 12) times their lengths: .002 here, ten times that with outliers; probabilities
      // by as much of themselves.
      EXPECT_LT(RelativeError(got, want), outlier > 1 ? 0.02 : 0.002);
      for (const int64_t step : {1, 4, 33}) EXPECT_EQ(a.Run(KvFormat::kInt16, step, 2), got);
      for (const Isa isa : SupportedIsas()) {
        const ScopedIsa scope(isa);
        EXPECT_EQ(a.Run(KvFormat::kInt16, 75, 1), got) << Name(isa);
      }
    }
}

TEST(KvCache, NanReachesWhoSeesItAndNobodyElse) {
  Attention a({2, 1, 16}, 40, 1);
  const auto before = a.Run(KvFormat::kInt16, 40, 1);
  a.k[20 * 16 + 3] = a.v[30 * 16 + 5] = NAN;
  const auto after = a.Run(KvFormat::kInt16, 40, 1);
  for (size_t i = 0; i < before.size(); ++i)
    if (i < 20 * 32)
      EXPECT_EQ(before[i], after[i]) << i;
    else
      EXPECT_TRUE(std::isnan(after[i])) << i;
}

}  // namespace
}  // namespace mezzo
