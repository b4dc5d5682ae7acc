#include "mezzo/kernels/group_gemm/group_tile_avx2.h"

namespace mezzo {
namespace {

// Written out, as in quads_avxvnni.cc: the prefix forbids the encoding of AVX-512.
struct AvxVnni : group_avx2::Vectors {
  [[gnu::always_inline]] static void Add(Sums& sum, const Bytes& w, Four low, Four high) {
    asm("%{vex%} vpdpbusd %[x], %[w], %[sum]" : [sum] "+x"(sum) : [x] "x"(low), [w] "x"(w.low));
    asm("%{vex%} vpdpbusd %[x], %[w], %[sum]" : [sum] "+x"(sum) : [x] "x"(high), [w] "x"(w.high));
  }
};

}  // namespace

void GroupRunAvxVnni(const GroupActivations& x, const GroupProduct& product, int64_t begin,
                     int64_t end, int64_t token_begin, int64_t token_end) {
  group_avx2::Run<AvxVnni>(x, product, begin, end, token_begin, token_end);
}

}  // namespace mezzo
