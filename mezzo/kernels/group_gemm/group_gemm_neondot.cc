// Bytes of codes are at most 64, so that they are the same with a sign, as sdot takes them.
#include "mezzo/kernels/group_gemm/group_tile_avx2.h"
#include "mezzo/kernels/sdot.h"

namespace mezzo {
namespace {

struct NeonDot {
  using Four = int8x16_t;
  struct Bytes {
    int8x16_t low[2], high[2];  // of four rows each
  };
  struct Sums {
    int32x4_t of[2];
  };

  [[gnu::always_inline]] static Four FourCodes(const int8_t* x) {
    int32_t four;
    std::memcpy(&four, x, sizeof(four));
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
  [[gnu::always_inline]] static Bytes Unpack(const uint8_t* codes, __m256i table) {
    const auto values = (int8x16_t)_mm256_castsi256_si128(table);
    Bytes b;
    for (int i = 0; i < 2; ++i) {
      const uint8x16_t v = vld1q_u8(codes + 16 * i);
      b.low[i] = vqtbl1q_s8(values, vandq_u8(v, vdupq_n_u8(15)));
      b.high[i] = vqtbl1q_s8(values, vshrq_n_u8(v, 4));
    }
    return b;
  }
  [[gnu::always_inline]] static Sums Begin(__m256i v) {
    return {{(int32x4_t)_mm256_castsi256_si128(v), (int32x4_t)_mm256_extracti128_si256(v, 1)}};
  }
  [[gnu::always_inline]] static __m256i End(const Sums& s) {
    return _mm256_set_m128i((__m128i)s.of[1], (__m128i)s.of[0]);
  }
  [[gnu::always_inline]] static void Add(Sums& sum, const Bytes& w, Four low, Four high) {
    for (int i = 0; i < 2; ++i) {
      Sdot(sum.of[i], w.low[i], low);
      Sdot(sum.of[i], w.high[i], high);
    }
  }
};

}  // namespace

void GroupRunNeonDot(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                     int64_t end, int64_t token_begin, int64_t token_end) {
  group_avx2::Run<NeonDot>(x, product, begin, end, token_begin, token_end);
}

}  // namespace mezzo
