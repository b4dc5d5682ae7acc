// AVX-VNNI: vpdpbusd of 256 bits. A tile of 6 rows x 16 columns keeps 12 sums in registers.
// Compiled for AVX2 as all of Mezzo: the one instruction that is not of AVX2 is written out.
#include "mezzo/kernels/qgemm/quads_tile_avx2.h"
#include "mezzo/kernels/qgemm/quads_vnni.h"

namespace mezzo {
namespace {

struct AvxVnni {
  using Vector = __m256i;
  static constexpr int kLanes = 8;

  MEZZO_INLINE static Vector Zero() { return _mm256_setzero_si256(); }
  MEZZO_INLINE static Vector Sum(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  MEZZO_INLINE static Vector Load(const void* from) {
    return _mm256_loadu_si256(static_cast<const Vector*>(from));
  }
  MEZZO_INLINE static Vector Broadcast(const uint8_t* codes) { return BroadcastAvx2(codes); }
  MEZZO_INLINE static void Dot(Vector& acc, Vector x, Vector w) {
    // the prefix forbids the encoding of AVX-512
    asm("%{vex%} vpdpbusd %[w], %[x], %[acc]" : [acc] "+x"(acc) : [x] "x"(x), [w] "x"(w));
  }
};

struct Lines {
  static constexpr int kRows = 6;

  template <int R, int V>
  MEZZO_INLINE static SumsAvx2<R, V> SumsOf(const QuadStrip& s, size_t first) {
    const auto acc = VnniSumsOf<AvxVnni, R, V, 64>(s, first);
    SumsAvx2<R, V> sums;
    Unrolled<R>([&](auto r) MEZZO_INLINE {
      Unrolled<V>([&](auto v) MEZZO_INLINE {
        __m256i sum = acc.at[r][v];
        asm("" : "+x"(sum));  // as in the lines of AVX2
        sums.at[r][v] = sum;
      });
    });
    return sums;
  }
};

}  // namespace

const QuadLines kQuadLinesAvxVnni{Isa::kAvxVnni, Lines::kRows, 1, false, RunStripAvx2<Lines>};

}  // namespace mezzo
