#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "mezzo/base/cpu.h"
#include "mezzo/base/error.h"
#include "mezzo/kernels/qgemm/quads.h"

namespace mezzo {
namespace {

// One product with every byte of its inputs drawn at random, or from the ends of the range.
struct Problem {
  size_t rows, depth, cols;
  bool x_signed, w_signed, extreme;
  int32_t x_zero = 0;
  std::vector<int32_t> w_zero;
  std::vector<uint8_t> x, w;
  std::vector<int32_t> bias;
  std::vector<float> scale, offset;

  Problem(size_t m, size_t k, size_t n, unsigned seed)
      : rows(m), depth(k), cols(n), x(m * k), w(k * n), bias(n), scale(n), offset(n) {
    std::mt19937 rng(seed);
    x_signed = rng() % 2;
    w_signed = rng() % 4 != 0;
    extreme = rng() % 2;
    const auto code = [&] { return static_cast<uint8_t>(extreme ? 127 + rng() % 2 : rng()); };
    for (uint8_t& v : x) v = extreme ? static_cast<uint8_t>(rng() % 2 ? 255 : 0) : code();
    if (extreme && x_signed)
      for (uint8_t& v : x) v = code();
    for (uint8_t& v : w) v = code();
    const int32_t ends[] = {x_signed ? -128 : 0, x_signed ? 127 : 255, 3};
    x_zero = ends[rng() % 3];
    if (!w_signed)
      for (size_t i = 0; i < n; ++i) w_zero.push_back(static_cast<int32_t>(rng() % 256));
    for (int32_t& b : bias) b = static_cast<int32_t>(rng() % 20001) - 10000;
    for (float& s : scale) s = static_cast<float>(rng() % 1000 + 1) / (400.0f * depth * 128);
    for (float& o : offset) o = static_cast<float>(rng() % 100) / 7.0f;
  }

  QWeights Packed() const {
    return QWeights::Pack({w.data(), w_signed}, depth, cols, cols, 1, w_zero);
  }
  QQuads PackedQuads(size_t run) const {
    return QQuads::Pack({w.data(), w_signed}, depth, cols, cols, 1, w_zero, run);
  }
  int32_t Weight(size_t k, size_t n) const {
    return QCodes({w.data(), w_signed})[k * cols + n] - (w_zero.empty() ? 0 : w_zero[n]);
  }
  QGemmArgs Args(void* y) const { return {{x.data(), x_signed}, rows, depth, x_zero, y, cols}; }
  QOutput Output(QOutput::Kind kind, bool with_offset) const {
    const bool is_signed = kind == QOutput::Kind::kInt8;
    QOutputSpec spec{kind, scale, bias, {}, is_signed ? -5 : 100, is_signed ? -90 : 7, 120};
    if (with_offset) spec.offset = offset;
    return MakeQOutput(spec, cols);
  }
};

constexpr QOutput::Kind kKinds[] = {QOutput::Kind::kUInt8, QOutput::Kind::kInt8,
                                    QOutput::Kind::kFloat, QOutput::Kind::kInt32};

// Both packings against the twin of the first.
void ExpectEqualsRef(const Problem& p, const Threads& threads) {
  const QWeights packed = p.Packed();
  const QQuads quads = p.PackedQuads(p.depth);
  for (const QOutput::Kind kind : kKinds) {
    const QOutput out = p.Output(kind, p.bias[0] % 2 != 0);
    const size_t bytes = p.rows * p.cols * out.ElementSize();
    std::vector<uint8_t> want(bytes);
    QGemmRef(p.Args(want.data()), packed, out);
    for (const bool constant : {false, true}) {
      std::vector<uint8_t> got(bytes + 64, 0xa5);
      constant ? QGemm(p.Args(got.data()), quads, out, threads)
               : QGemm(p.Args(got.data()), packed, out, threads);
      for (size_t i = bytes; i < got.size(); ++i) ASSERT_EQ(got[i], 0xa5) << "canary";
      got.resize(bytes);
      ASSERT_EQ(got, want) << p.rows << "x" << p.depth << "x" << p.cols << " kind "
                           << static_cast<int>(kind) << (p.extreme ? " extreme" : "")
                           << (constant ? " quads" : "");
    }
  }
}

TEST(QGemm, EqualsReferenceOnEveryTail) {
  const Threads one, three(3);
  unsigned seed = 1;
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (size_t rows = 1; rows <= 13; ++rows)
      for (const size_t depth : {1, 2, 3, 15, 16, 17, 33, 64})
        for (const size_t cols : {1, 5, 8, 9, 15, 16, 17, 24, 31, 40, 48, 63, 64, 65, 100})
          ExpectEqualsRef(Problem(rows, depth, cols, ++seed), rows % 2 ? one : three);
  }
}

TEST(QGemm, EqualsReferenceWhereItIsCutAmongThreads) {
  unsigned seed = 77;
  for (const size_t threads : {1, 2, 5})
    for (const auto& [m, k, n] :
         {std::array<size_t, 3>{301, 130, 33}, {4, 4100, 80}, {1, 999, 1000}})
      ExpectEqualsRef(Problem(m, k, n, seed++), Threads(threads));
}

// The worst case of saturating instructions: u8 255 times -128, in pairs.
TEST(QGemm, DoesNotSaturate) {
  const size_t depth = 64;
  const std::vector<uint8_t> x(depth, 255);
  const std::vector<int8_t> w(depth, -128);
  const QWeights packed = QWeights::Pack({w.data(), true}, depth, 1, 1, 1);
  const QOutput out = MakeQOutput({QOutput::Kind::kInt32}, 1);
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    const QQuads quads = QQuads::Pack({w.data(), true}, depth, 1, 1, 1, {}, depth);
    int32_t y = 0;
    QGemm({{x.data(), false}, 1, depth, 0, &y, 1}, packed, out, Threads());
    EXPECT_EQ(y, -255 * 128 * 64) << Name(isa);
    QGemm({{x.data(), false}, 1, depth, 0, &y, 1}, quads, out, Threads());
    EXPECT_EQ(y, -255 * 128 * 64) << Name(isa);
  }
}

// The twin itself, against the formula by hand.
TEST(QGemm, ReferenceFollowsTheFormula) {
  const std::vector<uint8_t> x{10, 20, 30};
  const std::vector<int8_t> w{1, -2, 3};
  const QWeights packed = QWeights::Pack({w.data(), true}, 3, 1, 1, 1);
  const std::vector<int32_t> bias{5};
  const std::vector<float> half{0.5f};
  uint8_t y = 0;  // (10-7)*1 + (20-7)*-2 + (30-7)*3 + 5 = 51; 25.5 rounds to the even 26
  QGemmRef({{x.data(), false}, 1, 3, 7, &y, 1}, packed,
           MakeQOutput({QOutput::Kind::kUInt8, half, bias, {}, 100}, 1));
  EXPECT_EQ(y, 126);
  QGemmRef({{x.data(), false}, 1, 3, 7, &y, 1}, packed,
           MakeQOutput({QOutput::Kind::kUInt8, half, bias, {}, 100, 100, 110}, 1));
  EXPECT_EQ(y, 110);
}

TEST(QWeights, HoldsWhatWasPacked) {
  Problem p(1, 7, 21, 5);
  const QWeights packed = p.Packed();
  for (size_t k = 0; k < p.depth; ++k)
    for (size_t n = 0; n < p.cols; ++n) EXPECT_EQ(packed.At(k, n), p.Weight(k, n));
}

// Whether no 16-bit sum of codes times the weights of these quads can leave 16 bits.
bool WithinBounds(const int8_t* quads, size_t count) {
  for (size_t half = 0; half < 2 * kQPanel; ++half) {
    int32_t positive = 0, negative = 0;
    for (size_t i = 0; i < 2 * count; ++i) {
      const int32_t w = quads[64 * (i / 2) + 2 * half + i % 2];
      (w > 0 ? positive : negative) += w;
    }
    if (255 * positive > INT16_MAX || 255 * negative < INT16_MIN) return false;
  }
  return true;
}

TEST(QQuads, HoldWhatWasPacked) {
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    for (unsigned seed = 1; seed <= 40; ++seed) {
      const size_t run = seed % 5 ? 21 : 12;
      const Problem p(1, 2 * run, 1 + 4 * seed, seed);
      const QQuads quads = p.PackedQuads(run);
      for (size_t n = 0; n < p.cols; ++n) {
        const std::vector<int32_t> column = quads.Column(n);
        uint32_t sum = 0;
        for (size_t k = 0; k < p.depth; ++k) {
          ASSERT_EQ(column[k], p.Weight(k, n)) << k << " " << n << " seed " << seed;
          sum += static_cast<uint32_t>(column[k]);
        }
        EXPECT_EQ(quads.sums()[n], sum);
      }
    }
  }
}

// Codes of either sign less one zero point for all, which may exceed a byte.
TEST(QQuads, TakeAZeroPointForAll) {
  for (const Isa isa : SupportedIsas()) {
    const ScopedIsa scoped(isa);
    unsigned seed = 0;
    for (const bool is_signed : {false, true})
      for (const int32_t unsigned_zero : {0, 1, 100, 128, 255})
        for (const size_t cols : {1, 15, 64, 75}) {
          const Problem p(1, 21, cols, ++seed);
          const int32_t zero[] = {unsigned_zero - (is_signed ? 128 : 0)};
          const QCodes w{p.w.data(), is_signed};
          const QQuads quads = QQuads::Pack(w, p.depth, cols, cols, 1, zero, 7);
          for (size_t n = 0; n < cols; ++n)
            for (size_t k = 0; k < p.depth; ++k)
              ASSERT_EQ(quads.Column(n)[k], w[k * cols + n] - zero[0]) << Name(isa);
        }
  }
}

TEST(QQuads, OfAvx2KeepTheBoundsOfSixteenBits) {
  const ScopedIsa scoped(Isa::kAvx2);
  for (unsigned seed = 1; seed <= 40; ++seed) {
    const Problem p(1, 42, 1 + seed, seed);
    const QQuads quads = p.PackedQuads(21);
    for (const QQuads::Panel& panel : quads.panels()) {
      for (size_t i = 0; i < panel.pairs; ++i)
        EXPECT_TRUE(WithinBounds(quads.weights(panel) + 128 * i, 2));
      for (size_t i = 2 * panel.pairs; i < panel.quads(); ++i)
        EXPECT_TRUE(WithinBounds(quads.weights(panel) + 64 * i, 1));
    }
  }
}

// Weights of a normal distribution, as networks have them, nearly all find a partner.
TEST(QQuads, ShareSums) {
  const ScopedIsa scoped(Isa::kAvx2);
  std::mt19937 rng(3);
  std::normal_distribution<float> normal(0, 26);
  std::vector<int8_t> w(768 * 16);
  for (int8_t& v : w) v = static_cast<int8_t>(std::clamp(normal(rng), -64.0f, 64.0f));
  const QQuads quads = QQuads::Pack({w.data(), true}, 768, 16, 16, 1, {}, 768);
  EXPECT_GE(2 * quads.panels()[0].pairs, quads.panels()[0].quads() * 9 / 10);
}

TEST(QOutput, RefusesWhatDoesNotFit) {
  const std::vector<float> two{1, 2}, bad{INFINITY};
  EXPECT_THROW(MakeQOutput({QOutput::Kind::kFloat, two}, 3), UsageError);
  EXPECT_THROW(MakeQOutput({QOutput::Kind::kFloat, bad}, 1), UsageError);
}

}  // namespace
}  // namespace mezzo
