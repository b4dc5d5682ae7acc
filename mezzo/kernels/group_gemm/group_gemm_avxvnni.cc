#include "mezzo/kernels/group_gemm/group_tile_avx2.h"

namespace mezzo {
namespace {

// Written out, as in DotAvxVnni (quads_avxvnni.cc), for compilers without the instruction.
struct AvxVnni {
  [[gnu::always_inline]] static void Add(__m256i& sum, const group_avx2::Unpacked& w, __m256i low,
                                         __m256i high) {
    asm("%{vex%} vpdpbusd %[x], %[w], %[sum]" : [sum] "+x"(sum) : [x] "x"(low), [w] "x"(w.low));
    asm("%{vex%} vpdpbusd %[x], %[w], %[sum]" : [sum] "+x"(sum) : [x] "x"(high), [w] "x"(w.high));
  }
};

}  // namespace

const GroupLines& GroupAvxVnni() { return group_avx2::Lines<AvxVnni>::kLines; }

}  // namespace mezzo
