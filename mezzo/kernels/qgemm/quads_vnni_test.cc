// The loops of quads_vnni.h with vpdpbusd made up from AVX2, so that machines without it test them
// too. Where a machine has it, the tests of QGemm and QConv run the real ones.
#include "mezzo/kernels/qgemm/quads_vnni.h"

#include <gtest/gtest.h>

#include <random>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

// N vectors of 256 bits as one.
template <int N>
struct Emulated {
  struct Vector {
    __m256i part[N];
  };
  static constexpr int kLanes = 8 * N;

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

// The sums of R rows and V vectors for a strip of so many quads, against plain loops.
template <class D, int R, int V>
void ExpectSums(size_t quads) {
  constexpr size_t kCols = D::kLanes * V, kBytes = 64;
  std::mt19937 rng(static_cast<unsigned>(quads));
  std::vector<uint8_t> x(R * kBytes);
  std::vector<int8_t> w(4 * kCols * quads);
  std::vector<int32_t> offsets(quads), start(kCols);
  for (uint8_t& v : x) v = static_cast<uint8_t>(rng() % 3 ? rng() : 255);
  for (int8_t& v : w) v = static_cast<int8_t>(rng() % 3 ? rng() : 128);
  for (int32_t& v : offsets) v = static_cast<int32_t>(rng() % (kBytes - 3));
  for (int32_t& v : start) v = static_cast<int32_t>(rng());  // vpdpbusds would stop at the ends
  std::vector<const uint8_t*> rows;
  for (size_t r = 0; r < R; ++r) rows.push_back(x.data() + r * kBytes);
  QuadStrip s{};
  s.rows = rows.data(), s.count = R, s.offsets = offsets.data(), s.singles = quads;
  s.w = w.data(), s.start = start.data();
  const auto sums = VnniSumsOf<D, R, V, 4 * D::kLanes * V>(s, 0);
  for (size_t r = 0; r < R; ++r) {
    std::vector<int32_t> got(kCols);
    for (size_t v = 0; v < V; ++v) D::Store(&got[v * D::kLanes], sums.at[r][v]);
    for (size_t n = 0; n < kCols; ++n) {
      auto want = static_cast<uint32_t>(start[n]);
      for (size_t q = 0; q < quads; ++q)
        for (size_t i = 0; i < 4; ++i)
          want += static_cast<uint32_t>(rows[r][offsets[q] + static_cast<int>(i)] *
                                        w[4 * (q * kCols + n) + i]);
      ASSERT_EQ(static_cast<uint32_t>(got[n]), want) << R << "x" << n << " quads " << quads;
    }
  }
}

// Tiles of every height: few rows take several quads at a time.
template <int N, int V, int kRows>
void ExpectAllHeights() {
  Unrolled<kRows>([](auto r) {
    for (size_t quads = 0; quads <= 19; ++quads) ExpectSums<Emulated<N>, r + 1, V>(quads);
  });
}

TEST(QuadsVnni, SumsOfTilesEqualPlainLoops) {
  ExpectAllHeights<1, 1, 6>();
  ExpectAllHeights<1, 2, 6>();
  ExpectAllHeights<2, 1, 12>();
  ExpectAllHeights<2, 2, 12>();
  ExpectAllHeights<2, 3, 8>();
  ExpectAllHeights<2, 4, 6>();
}

TEST(QuadsVnni, EachSetHasLinesOfItsOwn) {
  for (const Isa isa : SupportedIsas()) {
    if (isa == Isa::kPlain) continue;
    EXPECT_EQ(QuadLinesOf(isa).isa, isa) << Name(isa);
  }
  EXPECT_THROW(QuadLinesOf(Isa::kPlain), UsageError);
}

}  // namespace
}  // namespace mezzo
