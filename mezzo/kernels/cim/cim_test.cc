// The three paths against the plain twin, the twin against the integer kernel and by hand, and what
// the random numbers promise.
#include "mezzo/kernels/cim/cim.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "mezzo/base/error.h"
#include "mezzo/kernels/cim/cim_cell.h"

namespace mezzo {
namespace {

struct Problem {
  size_t rows;
  CimWeights w;
  bool x_signed;
  int32_t x_zero;
  std::vector<uint8_t> x;

  // Weights of `bits` bits; 9 are those of codes with a zero point.
  Problem(size_t m, size_t k, size_t n, int bits, unsigned seed) : rows(m), w{k, n, {}}, x(m * k) {
    std::mt19937 rng(seed);
    const bool extreme = rng() % 2;
    x_signed = rng() % 2;
    const int top = 1 << (bits - 1);
    for (size_t i = 0; i < k * n; ++i) {
      const int v =
          extreme ? (rng() % 2 ? top - 1 : -top) : static_cast<int>(rng() % (2 * top)) - top;
      w.values.push_back(static_cast<int16_t>(std::max(v, -255)));
    }
    for (uint8_t& v : x) v = static_cast<uint8_t>(extreme ? 127 + rng() % 2 : rng());
    if (extreme && !x_signed)
      for (uint8_t& v : x) v = rng() % 2 ? 255 : 0;
    const int32_t zeros[] = {x_signed ? -128 : 0, x_signed ? 127 : 255, 3};
    x_zero = zeros[rng() % 3];
  }

  CimArgs Args() const { return {{x.data(), x_signed}, rows, w.depth, x_zero, 99, 5}; }
  std::vector<int32_t> Exact() const {
    std::vector<int32_t> acc(rows * w.cols);
    for (size_t m = 0; m < rows; ++m)
      for (size_t n = 0; n < w.cols; ++n)
        for (size_t k = 0; k < w.depth; ++k)
          acc[m * w.cols + n] += (Args().x[m * w.depth + k] - x_zero) * w.values[k * w.cols + n];
    return acc;
  }
  std::vector<int32_t> Ref(const CimOptions& o) const {
    std::vector<int32_t> acc(rows * w.cols);
    CimGemmRef(Args(), w, o, CimSeed(o.chip, "layer"), acc.data());
    return acc;
  }
  std::vector<int32_t> Fast(const CimOptions& o, std::optional<CimPath> path = {}) const {
    std::vector<int32_t> acc(rows * w.cols + 16, -77);
    const CimArray array(w, o, CimSeed(o.chip, "layer"), path);
    CimGemm(Args(), array, acc.data());
    for (size_t i = rows * w.cols; i < acc.size(); ++i) EXPECT_EQ(acc[i], -77) << "canary";
    acc.resize(rows * w.cols);
    return acc;
  }
};

// Sizes with every kind of tail: of words, of chunks, of lines.
template <class F>
void EachProblem(F&& body) {
  unsigned seed = 1;
  for (const size_t depth : {1, 7, 8, 63, 64, 65, 130})
    for (const size_t cols : {1, 3, 8, 17})
      for (const int bits : {1, 4, 8, 9})
        for (const size_t rows : {0, 1, 9, 64, 100})
          if (rows != 1 || depth < 10)
            body(Problem(1 + seed % 3, depth, cols, bits, seed), rows), ++seed;
}

TEST(Cim, IdealCellsGiveTheExactProduct) {
  EachProblem([](const Problem& p, size_t rows) {
    CimOptions o;
    o.rows = rows;
    ASSERT_EQ(p.Ref(o), p.Exact()) << p.w.depth << "x" << p.w.cols << " by " << rows;
    ASSERT_EQ(p.Fast(o), p.Exact());
    ASSERT_EQ(p.Fast(o, CimPath::kLinear), p.Exact());  // below 2^24: floats are exact
  });
}

TEST(Cim, BitsEqualTheReference) {
  EachProblem([](const Problem& p, size_t rows) {
    CimOptions o;
    o.rows = rows;
    o.adc_bits = 1 + static_cast<int>(p.x[0] % 9);
    o.adc_full_scale = p.x[0] % 2 ? 1 : 0.6f;
    o.stuck_at_0 = 0.1f, o.stuck_at_1 = 0.05f, o.chip = 3;
    ASSERT_EQ(p.Fast(o), p.Ref(o)) << p.w.depth << "x" << p.w.cols << " by " << rows;
    ASSERT_EQ(p.Fast(o, CimPath::kAnalog), p.Ref(o));
    o.adc_bits = 0;
    ASSERT_EQ(p.Fast(o), p.Ref(o));
    ASSERT_EQ(p.Fast(o, CimPath::kLinear), p.Ref(o));
  });
}

TEST(Cim, AnalogEqualsTheReference) {
  EachProblem([](const Problem& p, size_t rows) {
    CimOptions o;
    o.rows = rows;
    o.adc_bits = 3 + static_cast<int>(p.x[0] % 5);
    o.sigma = 0.1f, o.drift = 0.02f, o.drift_spread = 0.01f, o.stuck_at_1 = 0.01f, o.chip = 7;
    o.read_noise = p.x[0] % 2 ? 0.5f : 0;
    ASSERT_EQ(p.Fast(o), p.Ref(o)) << p.w.depth << "x" << p.w.cols << " by " << rows;
  });
}

TEST(Cim, LinearEqualsTheReferenceButForRounding) {
  EachProblem([](const Problem& p, size_t rows) {
    CimOptions o;
    o.rows = rows;
    o.sigma = 0.2f, o.drift = 0.1f, o.drift_spread = 0.05f, o.stuck_at_0 = 0.02f, o.chip = 1;
    o.read_noise = p.x[0] % 2 ? 0.5f : 0;
    const std::vector<int32_t> want = p.Ref(o), got = p.Fast(o);
    // a chain of depth roundings of sums below depth * 255 * 512, in both, and one to integers
    const double depth = static_cast<double>(p.w.depth);
    const double tolerance = 1 + 2 * depth * 0x1p-24 * depth * 255 * 512;
    for (size_t i = 0; i < want.size(); ++i)
      ASSERT_NEAR(got[i], want[i], tolerance) << p.w.depth << "x" << p.w.cols;
  });
}

TEST(Cim, RowsDoNotDependOnTheirCall) {
  const Problem p(7, 70, 5, 8, 4);
  CimOptions o;
  o.rows = 32, o.sigma = 0.1f, o.read_noise = 1;
  for (const int bits : {0, 6}) {
    o.adc_bits = bits;
    const std::vector<int32_t> whole = p.Fast(o);
    const CimArray array(p.w, o, CimSeed(0, "layer"));
    for (size_t m = 0; m < p.rows; ++m) {
      CimArgs args = p.Args();
      args.x.data = p.x.data() + m * p.w.depth;
      args.rows = 1, args.first_row += m;
      std::vector<int32_t> row(p.w.cols);
      CimGemm(args, array, row.data());
      for (size_t n = 0; n < p.w.cols; ++n) EXPECT_EQ(row[n], whole[m * p.w.cols + n]);
    }
  }
}

// Rows of ones, weights of -1 (one plane, negative): a line's sum is the number of rows.
TEST(Cim, ConverterRoundsAndClips) {
  Problem p(1, 10, 1, 1, 1);
  p.w.values.assign(10, -1), p.x.assign(10, 1), p.x_zero = 0;
  CimOptions o;
  o.adc_bits = 2;  // 0 .. 3 in steps of 10 / 3
  EXPECT_EQ(p.Fast(o)[0], -10);
  o.adc_full_scale = 0.6f;  // clips at 6
  EXPECT_EQ(p.Fast(o)[0], -6);
  o.rows = 4, o.adc_full_scale = 1;  // chunks of 4, 4 and 2 in steps of 4 / 3: 4 + 4 + 8 / 3
  EXPECT_EQ(p.Fast(o)[0], -11);
  o.adc_bits = 0, o.rows = 0, o.drift = 0.5f;
  EXPECT_EQ(p.Fast(o)[0], -5);
}

TEST(Cim, TheSameChipHasTheSameCells) {
  const Problem p(4, 40, 9, 8, 2);
  CimOptions a, b;
  a.sigma = b.sigma = 0.1f;
  EXPECT_EQ(p.Fast(a), p.Fast(b));
  b.chip = 1;
  EXPECT_NE(p.Fast(a), p.Fast(b));
  EXPECT_NE(CimSeed(1, "a"), CimSeed(1, "b"));
  EXPECT_NE(CimSeed(1, "a", 0), CimSeed(1, "a", 1));
}

// Moments of many cells, within four deviations of their estimates.
TEST(Cim, CellsVaryAsAsked) {
  CimOptions o;
  o.sigma = 0.1f, o.drift = 0.2f, o.stuck_at_0 = 0.03f, o.stuck_at_1 = 0.02f;
  const cim::Cells cells(o, 11);
  const size_t n = 200000;
  double sum = 0, squares = 0, off = 0, on = 0;
  for (size_t i = 0; i < n; ++i) {
    const double g = cells.Conductance(i, i % 8, true);
    on += cells.Bit(i, i % 8, false);
    if (g == 0) {
      ++off;
    } else {
      sum += g, squares += g * g;
    }
  }
  const double count = static_cast<double>(n), live = count - off;
  const double mean = sum / live, deviation = std::sqrt(squares / live - mean * mean);
  EXPECT_NEAR(mean, 0.8, 4 * 0.08 / std::sqrt(live));
  EXPECT_NEAR(deviation, 0.08, 4 * 0.08 / std::sqrt(2 * live));
  EXPECT_NEAR(off / count, 0.03, 4 * std::sqrt(0.03 / count));
  EXPECT_NEAR(on / count, 0.02, 4 * std::sqrt(0.02 / count));
}

TEST(Cim, ReadNoiseIsNormalAndUncorrelated) {
  const cim::NoiseKey a(5, 0), b(5, 1);
  const float* table = cim::NormalTable().data();
  const size_t n = 200000;
  double sum = 0, squares = 0, fourth = 0, with_next = 0, with_row = 0;
  for (size_t i = 0; i < n; ++i) {
    const auto c = static_cast<uint32_t>(i);
    const double v = cim::Normal(table, a.Bits(c));
    sum += v, squares += v * v, fourth += v * v * v * v;
    with_next += v * cim::Normal(table, a.Bits(c + 1));
    with_row += v * cim::Normal(table, b.Bits(c));
  }
  const double count = static_cast<double>(n), root = std::sqrt(count);
  EXPECT_NEAR(sum / count, 0, 4 / root);
  EXPECT_NEAR(squares / count, 1, 4 * std::sqrt(2.0) / root);
  EXPECT_NEAR(fourth / count, 3, 4 * std::sqrt(96.0) / root);
  EXPECT_NEAR(with_next / count, 0, 4 / root);
  EXPECT_NEAR(with_row / count, 0, 4 / root);
}

TEST(Cim, RefusesWhatItCannotBuild) {
  const auto refuses = [](auto change) {
    CimOptions o;
    change(o);
    EXPECT_THROW(CheckCimOptions(o), UsageError);
  };
  refuses([](CimOptions& o) { o.adc_bits = 17; });
  refuses([](CimOptions& o) { o.adc_full_scale = 0; });
  refuses([](CimOptions& o) { o.sigma = -0.1f; });
  refuses([](CimOptions& o) { o.sigma = NAN; });
  refuses([](CimOptions& o) { o.stuck_at_0 = 0.6f, o.stuck_at_1 = 0.6f; });
  refuses([](CimOptions& o) { o.read_noise = INFINITY; });
  refuses([](CimOptions& o) { o.drift = 1.5f; });
  CimOptions o;
  o.sigma = 0.1f;
  EXPECT_THROW(CimArray({1, 1, {1}}, o, 0, CimPath::kBits), UsageError);
  EXPECT_THROW(CimArray({2, 1, {1}}, o, 0), UsageError);
}

}  // namespace
}  // namespace mezzo
