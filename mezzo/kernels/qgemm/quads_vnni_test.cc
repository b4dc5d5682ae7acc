// The loops of quads_vnni.h with vpdpbusd made up from AVX2, so that machines without it test them
// too. Where a machine has it, the tests of QGemm and QConv run the real ones.
#include "mezzo/kernels/qgemm/quads_vnni.h"

#include <gtest/gtest.h>

#include <random>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

// N vectors of 256 bits as one.
template <int N, int R, int V>
struct Emulated {
  struct Vector {
    __m256i part[N];
  };
  static constexpr int kLanes = 8 * N, kRows = R, kVectors = V;

  static Vector Zero() { return {}; }
  static Vector Sum(Vector a, Vector b) {
    for (int i = 0; i < N; ++i) a.part[i] = _mm256_add_epi32(a.part[i], b.part[i]);
    return a;
  }
  static Vector Load(const void* from) {
    Vector v;
    for (int i = 0; i < N; ++i)
      v.part[i] = _mm256_loadu_si256(static_cast<const __m256i*>(from) + i);
    return v;
  }
  static void Store(int32_t* to, Vector v) {
    for (int i = 0; i < N; ++i) _mm256_storeu_si256(reinterpret_cast<__m256i*>(to) + i, v.part[i]);
  }
  static Vector Broadcast(const uint8_t* codes) {
    Vector v;
    for (__m256i& part : v.part) part = BroadcastAvx2(codes);
    return v;
  }
  // Even and odd bytes in 16 bits each, whose products vpmaddwd adds up without loss.
  static void Dot(Vector& acc, Vector x, Vector w) {
    for (int i = 0; i < N; ++i) {
      const __m256i x_even = _mm256_and_si256(x.part[i], _mm256_set1_epi16(255));
      const __m256i w_even = _mm256_srai_epi16(_mm256_slli_epi16(w.part[i], 8), 8);
      const __m256i even = _mm256_madd_epi16(x_even, w_even);
      const __m256i odd =
          _mm256_madd_epi16(_mm256_srli_epi16(x.part[i], 8), _mm256_srai_epi16(w.part[i], 8));
      acc.part[i] = _mm256_add_epi32(acc.part[i], _mm256_add_epi32(even, odd));
    }
  }
};

struct Problem {
  size_t rows, depth, cols;
  std::vector<uint8_t> x, w, other;
  std::vector<int32_t> w_zero, bias;
  std::vector<float> scale;
  QQuads quads;

  Problem(size_t m, size_t k, size_t n, unsigned seed)
      : rows(m),
        depth(k),
        cols(n),
        x(m * Stride()),
        w(k * n),
        other(m * n),
        w_zero(n),
        bias(n),
        scale(n) {
    std::mt19937 rng(seed);
    const bool extreme = rng() % 2;
    for (uint8_t& v : x) v = static_cast<uint8_t>(extreme ? 255 * (rng() % 2) : rng());
    for (uint8_t& v : w) v = static_cast<uint8_t>(extreme ? 127 + rng() % 2 : rng());
    for (uint8_t& v : other) v = static_cast<uint8_t>(rng());
    for (int32_t& z : w_zero) z = static_cast<int32_t>(rng() % 256) - 128;
    for (int32_t& b : bias) b = static_cast<int32_t>(rng() % 20001) - 10000;
    for (float& s : scale) s = static_cast<float>(rng() % 1000 + 1) / (400.0f * k * 128);
    quads =
        QQuads::Pack({w.data(), true}, k, n, n, 1,
                     rng() % 2 ? std::span<const int32_t>(w_zero) : std::span<const int32_t>(), k);
  }
  size_t Stride() const { return (depth + 3) / 4 * 4; }  // what exceeds the depth is random too

  QOutput Output(QOutput::Kind kind) const {
    return MakeQOutput({kind, scale, bias, {}, 7, -100, 120}, cols);
  }

  QResidual Residual(bool is_signed) const {
    return {{false, 0.7f, 0.4f, 7, 100, 9, is_signed ? -90 : 3, 121}, is_signed, {other.data()}};
  }

  std::vector<uint8_t> Reference(const QOutput& out, const QResidual* residual) const {
    std::vector<uint8_t> y(rows * cols * out.ElementSize() + 64, 0xa5);
    QGemmRef({{x.data(), false}, rows, Stride(), 0, y.data(), cols}, quads, out);
    if (residual)
      QBinaryRef({{y.data(), residual->a_signed}, residual->b, 1, 1, y.data(), rows * cols},
                 residual->params);
    return y;
  }

  // By SumTile<D>, as RunQuadProduct would ask for it.
  template <class D>
  std::vector<uint8_t> Run(const QOutput& out, const QResidual* residual) const {
    const size_t element = out.ElementSize();
    std::vector<uint8_t> y(rows * cols * element + 64, 0xa5);
    std::vector<const uint8_t*> places;
    for (size_t r = 0; r < rows + D::kRows - 1; ++r)
      places.push_back(x.data() + std::min(r, rows - 1) * Stride());
    for (size_t panel = 0; panel < quads.panels().size(); ++panel) {
      const QQuads::Panel& p = quads.panels()[panel];
      std::vector<int32_t> offsets;
      for (size_t q = 0; q < p.quads(); ++q)
        offsets.push_back(static_cast<int32_t>(4 * quads.ids(p.begin)[q]));
      const size_t column = panel * kQPanel;
      RunVnniStrip({places.data(), rows, offsets.data(), p.pairs, p.singles, quads.weights(p.begin),
                    out.bias.data() + column, &out, column, std::min(kQPanel, cols - column),
                    reinterpret_cast<char*>(y.data()) + column * element, cols * element, residual,
                    residual ? static_cast<const uint8_t*>(residual->b.data) + column : nullptr,
                    panel == 0 ? cols * element : 0},
                   D::kRows, SumTile<D>);
    }
    return y;
  }
};

// All heights of a tile and all remainders of the quads taken together.
template <class D>
void ExpectEqualsRef(const std::vector<size_t>& columns) {
  unsigned seed = 0;
  for (size_t rows = 1; rows <= 2 * D::kRows + 1; ++rows)
    for (const size_t depth : {1, 3, 4, 6, 9, 14, 20, 23, 28, 30, 65, 200})
      for (const size_t cols : columns) {
        const Problem p(rows, depth, cols, ++seed);
        for (const auto kind : {QOutput::Kind::kUInt8, QOutput::Kind::kInt8, QOutput::Kind::kFloat,
                                QOutput::Kind::kInt32}) {
          const QOutput out = p.Output(kind);
          const QResidual residual = p.Residual(kind == QOutput::Kind::kInt8);
          const QResidual* added = out.ElementSize() == 1 && seed % 2 ? &residual : nullptr;
          ASSERT_EQ(p.Run<D>(out, added), p.Reference(out, added))
              << rows << "x" << depth << "x" << cols << " kind " << static_cast<int>(kind);
        }
      }
}

TEST(QuadsVnni, TilesOfTwoVectorsARowEqualReference) {
  ExpectEqualsRef<Emulated<1, 6, 2>>({1, 7, 9, 15, 16, 17, 40});
}

TEST(QuadsVnni, TilesOfHalfAPanelEqualReference) { ExpectEqualsRef<Emulated<1, 6, 1>>({1, 5, 8}); }

TEST(QuadsVnni, TilesOfAVectorARowEqualReference) {
  ExpectEqualsRef<Emulated<2, 10, 1>>({1, 7, 9, 15, 16, 17, 40});
}

// vpdpbusds would stop at the ends of the range.
TEST(QuadsVnni, SumsWrap) {
  Problem p(3, 8, 2, 1);
  p.bias = {INT32_MAX, INT32_MIN};
  const QOutput out = p.Output(QOutput::Kind::kInt32);
  EXPECT_EQ((p.Run<Emulated<1, 6, 2>>(out, nullptr)), p.Reference(out, nullptr));
}

TEST(QuadsVnni, EachSetHasLinesOfItsOwn) {
  for (const Isa isa : {Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512Vnni})
    EXPECT_EQ(QuadLinesOf(isa).isa, isa) << Name(isa);
  EXPECT_THROW(QuadLinesOf(Isa::kPlain), UsageError);
}

}  // namespace
}  // namespace mezzo
