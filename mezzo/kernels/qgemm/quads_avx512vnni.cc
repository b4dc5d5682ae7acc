// AVX512-VNNI: vpdpbusd of 512 bits, a quad at a time. A tile of 10 rows x 16 columns keeps 10 sums
// in registers. The only file that is compiled for AVX-512 (CMakeLists.txt): it makes sums and
// leaves the output stage to quads_vnni.cc. Run so far only where its instructions were emulated by
// a handler of the trap, never timed.
#include "mezzo/kernels/qgemm/quads_vnni.h"

namespace mezzo {
namespace {

struct Avx512Vnni {
  using Vector = __m512i;
  static constexpr int kLanes = 16, kRows = 10, kVectors = 1;

  MEZZO_INLINE static Vector Zero() { return _mm512_setzero_si512(); }
  MEZZO_INLINE static Vector Sum(Vector a, Vector b) { return _mm512_add_epi32(a, b); }
  MEZZO_INLINE static Vector Load(const void* from) { return _mm512_loadu_si512(from); }
  MEZZO_INLINE static void Store(int32_t* to, Vector v) { _mm512_storeu_si512(to, v); }
  MEZZO_INLINE static Vector Broadcast(const uint8_t* codes) {
    int32_t four;
    __builtin_memcpy(&four, codes, sizeof(four));
    return _mm512_set1_epi32(four);
  }
  MEZZO_INLINE static void Dot(Vector& acc, Vector x, Vector w) {
    // written out, since g++ 12 moves sums to and fro around the intrinsic
    asm("vpdpbusd %[w], %[x], %[acc]" : [acc] "+v"(acc) : [x] "v"(x), [w] "v"(w));
  }
};

void RunStrip(const QuadStrip& s) { RunVnniStrip(s, Avx512Vnni::kRows, SumTile<Avx512Vnni>); }

}  // namespace

const QuadLines kQuadLinesAvx512Vnni{Isa::kAvx512Vnni, Avx512Vnni::kRows, RunStrip};

}  // namespace mezzo
