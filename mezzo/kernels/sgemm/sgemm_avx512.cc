#include "mezzo/kernels/qgemm/qgemm_avx512.h"
#include "mezzo/kernels/sgemm/sgemm_tile.h"

namespace mezzo {
namespace {

struct Avx512 {
  using Vector = __m512;
  static constexpr int kLanes = 16;

  static Vector Zero() { return _mm512_setzero_ps(); }
  static Vector Load(const float* from) { return _mm512_loadu_ps(from); }
  static Vector Broadcast(const float* from) { return _mm512_set1_ps(*from); }
  static void Store(float* to, Vector v) { _mm512_storeu_ps(to, v); }
  static Vector MulAdd(Vector a, Vector b, Vector sum) { return _mm512_fmadd_ps(a, b, sum); }
  static Vector LoadFirst(const float* from, int64_t n) {
    return _mm512_maskz_loadu_ps(FirstLanesAvx512(n), from);
  }
  static void StoreFirst(float* to, Vector v, int64_t n) {
    _mm512_mask_storeu_ps(to, FirstLanesAvx512(n), v);
  }
};

constexpr int64_t kRows = 12, kPanels = 8;

// Up to 24 sums in registers: the panels that a tile of so many rows takes at most.
constexpr int64_t Most(int64_t rows) { return rows == 1 ? 8 : rows <= 6 ? 4 : rows <= 8 ? 3 : 2; }

int64_t Panels(int64_t rows, int64_t left) {
  const int64_t most = left < Most(rows) ? left : Most(rows);
  return most >= 8 ? 8 : most >= 4 ? 4 : most;
}

// [rows][panels], of which Panels() gives 1, 2, 3, 4 and 8.
struct Tiles {
  SgemmTileFn at[kRows + 1][kPanels + 1] = {};

  template <int R = 1>
  constexpr void Fill() {
    at[R][1] = RunTile<Avx512, R, 1>;
    at[R][2] = RunTile<Avx512, R, 2>;
    if constexpr (R <= 8) at[R][3] = RunTile<Avx512, R, 3>;
    if constexpr (R <= 6) at[R][4] = RunTile<Avx512, R, 4>;
    if constexpr (R == 1) at[R][8] = RunTile<Avx512, R, 8>;
    if constexpr (R < kRows) Fill<R + 1>();
  }
};

constexpr Tiles MakeTiles() {
  Tiles tiles;
  tiles.Fill();
  return tiles;
}

void Run(int64_t rows, int64_t panels, const GemmTile& tile, const GemmStretch& s) {
  static constexpr Tiles kTiles = MakeTiles();
  kTiles.at[rows][panels](tile, s);
}

}  // namespace

const SgemmLines& SgemmAvx512() {
  static constexpr SgemmLines kLines{kRows, Panels, Run};
  return kLines;
}

}  // namespace mezzo
