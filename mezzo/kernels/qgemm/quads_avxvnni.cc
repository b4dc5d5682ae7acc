// AVX-VNNI: vpdpbusd of 256 bits. A tile of 6 rows x 16 columns keeps 12 sums in registers.
// Compiled for AVX2 as all of Mezzo: the one instruction that is not of AVX2 is written out. Run so
// far only where that was emulated by a handler of the trap, never timed.
#include "mezzo/kernels/qgemm/quads_vnni.h"

namespace mezzo {
namespace {

template <int V>
struct AvxVnni {
  using Vector = __m256i;
  static constexpr int kLanes = 8, kRows = 6, kVectors = V;

  MEZZO_INLINE static Vector Zero() { return _mm256_setzero_si256(); }
  MEZZO_INLINE static Vector Sum(Vector a, Vector b) { return _mm256_add_epi32(a, b); }
  MEZZO_INLINE static Vector Load(const void* from) {
    return _mm256_loadu_si256(static_cast<const Vector*>(from));
  }
  MEZZO_INLINE static void Store(int32_t* to, Vector v) {
    _mm256_storeu_si256(reinterpret_cast<Vector*>(to), v);
  }
  MEZZO_INLINE static Vector Broadcast(const uint8_t* codes) { return BroadcastAvx2(codes); }
  MEZZO_INLINE static void Dot(Vector& acc, Vector x, Vector w) {
    // the prefix forbids the encoding of AVX-512
    asm("%{vex%} vpdpbusd %[w], %[x], %[acc]" : [acc] "+x"(acc) : [x] "x"(x), [w] "x"(w));
  }
};

void RunStrip(const QuadStrip& s) {
  RunVnniStrip(s, AvxVnni<2>::kRows, s.cols <= 8 ? SumTile<AvxVnni<1>> : SumTile<AvxVnni<2>>);
}

}  // namespace

const QuadLines kQuadLinesAvxVnni{Isa::kAvxVnni, AvxVnni<2>::kRows, RunStrip};

}  // namespace mezzo
