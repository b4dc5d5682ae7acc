#include "mezzo/kernels/sgemm/sgemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "mezzo/base/cpu.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {
namespace {

void ExpectSameBits(const std::vector<float>& a, const std::vector<float>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0) << what;
}

struct Size {
  int64_t m, n, k;
};

TEST(Sgemm, EqualsPlainTwinBitForBit) {
  const Threads threads(3);
  for (const Size& s : {Size{1, 1, 1},
                        {1, 64, 64},
                        {1, 1000, 300},
                        {2, 33, 7},
                        {3, 17, 257},
                        {6, 16, 256},
                        {7, 40, 513},
                        {13, 8, 9},
                        {49, 25, 300},
                        {200, 100, 64},
                        {97, 7, 600},
                        {5, 56, 70},
                        {8, 120, 33},
                        {10, 30, 300},
                        {5, 128, 0}}) {
    const auto a = NormalValues(s.m * s.k, 1), b = NormalValues(s.k * s.n, 2),
               bias = NormalValues(s.n, 3);
    std::vector<float> want(s.m * s.n), got(s.m * s.n + 1, 77.0f);
    SgemmRef(a.data(), s.k, s.m, s.n, s.k, b.data(), s.n, 1, want.data(), s.n, {bias.data(), 0});
    const PackedB packed(b.data(), s.k, s.n, s.n, 1, threads);
    for (const Isa isa : SupportedIsas()) {
      const ScopedIsa scoped(isa);
      std::fill(got.begin(), got.end(), 77.0f);
      got.resize(want.size() + 1, 77.0f);
      Sgemm(a.data(), s.k, s.m, packed, got.data(), s.n, {bias.data(), 0}, threads);
      EXPECT_EQ(got.back(), 77.0f) << "wrote past the end";
      got.pop_back();
      ExpectSameBits(got, want, Name(isa).data());
    }
  }
}

TEST(Sgemm, PacksATransposedMatrix) {
  const int64_t m = 4, n = 21, k = 30;
  const auto a = NormalValues(m * k, 1), b = NormalValues(n * k, 2);
  std::vector<float> want(m * n), got(m * n);
  SgemmRef(a.data(), k, m, n, k, b.data(), 1, k, want.data(), n, {});
  Sgemm(a.data(), k, m, PackedB(b.data(), k, n, 1, k, {}), got.data(), n, {}, {});
  ExpectSameBits(got, want, "transposed");
}

TEST(Sgemm, SameBitsForAnyThreadCountAndBatch) {
  const int64_t n = 150, k = 384;
  const auto a = NormalValues(128 * k, 1), b = NormalValues(k * n, 2);
  const PackedB packed(b.data(), k, n, n, 1, {});
  std::vector<float> want(128 * n);
  for (int64_t i = 0; i < 128; ++i)  // each row alone
    Sgemm(a.data() + i * k, k, 1, packed, want.data() + i * n, n, {}, {});
  for (size_t t = 1; t <= 8; ++t) {
    std::vector<float> got(128 * n);
    Sgemm(a.data(), k, 128, packed, got.data(), n, {}, Threads(t));
    ExpectSameBits(got, want, "threads");
  }
}

TEST(Sgemm, SegmentsAreOneLongRow) {
  const int64_t taps = 9, depth = 70, m = 11, n = 24;
  const auto a = NormalValues(m * taps * depth, 1), b = NormalValues(taps * depth * n, 2);
  const PackedB packed(b.data(), taps * depth, n, n, 1, {});
  std::vector<const float*> segments;
  for (int64_t i = 0; i < m * taps; ++i) segments.push_back(a.data() + i * depth);
  std::vector<float> want(m * n), got(m * n);
  SgemmRef(a.data(), taps * depth, m, n, taps * depth, b.data(), n, 1, want.data(), n, {});
  SgemmBlock({segments.data(), taps, depth}, m, packed, 0, packed.panels(), got.data(), n, {});
  ExpectSameBits(got, want, "segments");
}

}  // namespace
}  // namespace mezzo
