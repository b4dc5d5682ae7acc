#include "mezzo/kernels/attention/kv_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/attention/wide_product.h"
#include "mezzo/kernels/attention/wide_weights.h"

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

// Rows that see 1 to 100 positions; values' scales from 1e-6 to 1, or so small that p is subnormal.
TEST(WideWeights, CodesAreTheProbabilitiesTimesTheScalesOnEveryInstructionSet) {
  std::mt19937 random(1);
  std::normal_distribution<float> draw;
  const int64_t first = 0, group = 2, rows = 200, stride = 112;
  for (const float size : {1.0f, 1e-38f}) {
    std::vector<float> scores(rows * stride), value_scales(stride);
    for (float& s : scores) s = 5 * draw(random);
    for (float& s : value_scales) s = size * std::exp(-std::fabs(7 * draw(random)));
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scope(isa);
      std::vector<float> work = scores, scales(rows), plain_scales(rows), plain = scores;
      std::vector<int16_t> codes(rows * stride, 7), plain_codes = codes;
      WideWeights({work.data(), rows, stride, first, group, value_scales.data(), codes.data(),
                   scales.data()});
      WideWeightsAvx2({plain.data(), rows, stride, first, group, value_scales.data(),
                       plain_codes.data(), plain_scales.data()});
      ASSERT_EQ(codes, plain_codes) << Name(isa);
      ASSERT_EQ(scales, plain_scales) << Name(isa);
      for (int64_t r = 0; r < rows; ++r) {
        const float* s = scores.data() + r * stride;
        const int64_t seen = first + r / group + 1;
        double sum = 0;
        int64_t codes_sum = 0;
        const float top = *std::max_element(s, s + seen);
        for (int64_t t = 0; t < seen; ++t) sum += std::exp(double{s[t]} - top);
        for (int64_t t = 0; t < stride; ++t) {
          const int16_t code = codes[r * stride + t];
          const double want = t < seen ? std::exp(double{s[t]} - top) / sum * value_scales[t] : 0.0;
          ASSERT_NEAR(code * double{scales[r]}, want, 0.5001 * scales[r] + 1e-5 * want);
          codes_sum += code;
        }
        ASSERT_LE(static_cast<float>(codes_sum) * kValueTop, kLargestSum);
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
