// Arm's dot product: sdot adds four products s8 * s8 to an int32, so 128 is taken off codes on the
// way. A tile of 6 rows x 16 columns keeps 24 sums in the 32 registers.
#include "mezzo/kernels/qgemm/quads_tile_avx2.h"
#include "mezzo/kernels/qgemm/quads_vnni.h"
#include "mezzo/kernels/sdot.h"

namespace mezzo {
namespace {

struct NeonDot {
  using Vector = int32x4_t;
  static constexpr int kLanes = 4;

  MEZZO_INLINE static Vector Zero() { return vdupq_n_s32(0); }
  MEZZO_INLINE static Vector Sum(Vector a, Vector b) { return vaddq_s32(a, b); }
  MEZZO_INLINE static Vector Load(const void* from) {
    return vld1q_s32(static_cast<const int32_t*>(from));
  }
  MEZZO_INLINE static Vector Broadcast(const uint8_t* codes) {
    int32_t four;
    std::memcpy(&four, codes, sizeof(four));
    return veorq_s32(vdupq_n_s32(four), vreinterpretq_s32_u8(vdupq_n_u8(0x80)));
  }
  MEZZO_INLINE static void Dot(Vector& acc, Vector x, Vector w) {
    Sdot(acc, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w));
  }
};

struct Lines {
  static constexpr int kRows = 6;

  template <int R, int V>
  MEZZO_INLINE static SumsAvx2<R, V> SumsOf(const QuadStrip& s, size_t first) {
    const auto acc = VnniSumsOf<NeonDot, R, 2 * V, 64>(s, first);
    SumsAvx2<R, V> sums;
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        sums.at[r][v] = _mm256_set_m128i((__m128i)acc.at[r][2 * v + 1], (__m128i)acc.at[r][2 * v]);
      });
    });
    return sums;
  }
};

}  // namespace

const QuadLines kQuadLinesNeonDot{Isa::kNeonDot,       Lines::kRows, 1,  false,
                                  RunStripAvx2<Lines>, false,        128};

}  // namespace mezzo
