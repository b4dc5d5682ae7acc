#include <algorithm>
#include <cstring>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/sgemm/sgemm_tile.h"

namespace mezzo {
namespace {

#if defined(__x86_64__)
struct Narrow {
  using Vector = __m256;
  static constexpr int kLanes = 8;

  static Vector Zero() { return _mm256_setzero_ps(); }
  static Vector Load(const float* from) { return _mm256_loadu_ps(from); }
  static Vector Broadcast(const float* from) { return _mm256_broadcast_ss(from); }
  static void Store(float* to, Vector v) { _mm256_storeu_ps(to, v); }
  static Vector MulAdd(Vector a, Vector b, Vector sum) { return _mm256_fmadd_ps(a, b, sum); }
  static Vector LoadFirst(const float* from, int64_t n) {
    return _mm256_maskload_ps(from, First(n));
  }
  static void StoreFirst(float* to, Vector v, int64_t n) { _mm256_maskstore_ps(to, First(n), v); }

 private:
  static __m256i First(int64_t n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
  }
};
#else
struct Narrow {
  using Vector = float32x4_t;
  static constexpr int kLanes = 4;

  static Vector Zero() { return vdupq_n_f32(0); }
  static Vector Load(const float* from) { return vld1q_f32(from); }
  static Vector Broadcast(const float* from) { return vld1q_dup_f32(from); }
  static void Store(float* to, Vector v) { vst1q_f32(to, v); }
  static Vector MulAdd(Vector a, Vector b, Vector sum) { return vfmaq_f32(sum, a, b); }
  static Vector LoadFirst(const float* from, int64_t n) {
    Vector v = Zero();
    std::memcpy(&v, from, Bytes(n));
    return v;
  }
  static void StoreFirst(float* to, Vector v, int64_t n) { std::memcpy(to, &v, Bytes(n)); }

 private:
  static size_t Bytes(int64_t n) { return sizeof(float) * std::clamp<int64_t>(n, 0, kLanes); }
};
#endif

// R rows and 8 * V columns.
template <int R, int V>
constexpr SgemmTileFn kTile = RunTile<Narrow, R, V * 8 / Narrow::kLanes>;

// 6 x 16 sums fill 12 of the 16 vector registers (24 of 32 of NEON's). [rows][which]: half a panel,
// one panel, and for few rows several panels at once, as fewer than eight sums would wait for each
// other.
constexpr SgemmTileFn kTiles[7][3] = {
    {},
    {kTile<1, 1>, kTile<1, 2>, kTile<1, 8>},
    {kTile<2, 1>, kTile<2, 2>, kTile<2, 4>},
    {kTile<3, 1>, kTile<3, 2>},
    {kTile<4, 1>, kTile<4, 2>},
    {kTile<5, 1>, kTile<5, 2>},
    {kTile<6, 1>, kTile<6, 2>},
};

int64_t Panels(int64_t rows, int64_t left) {
  const int64_t most = rows == 1 ? 4 : rows == 2 ? 2 : 1;
  return left >= most ? most : 1;
}

void Run(int64_t rows, int64_t panels, const GemmTile& tile, const GemmStretch& s) {
  kTiles[rows][panels > 1 ? 2 : tile.columns <= 8 ? 0 : 1](tile, s);
}

}  // namespace

const SgemmLines& SgemmAvx2() {
  static constexpr SgemmLines kLines{6, Panels, Run};
  return kLines;
}

}  // namespace mezzo
