// AVX-VNNI: vpdpwssd of 256 bits, written out as in quads_avxvnni.cc.
#include "mezzo/kernels/attention/wide_product_tile_avx2.h"

namespace mezzo {
namespace {

MEZZO_INLINE inline void Dot(__m256i& sum, __m256i x, __m256i w) {
  asm("%{vex%} vpdpwssd %[w], %[x], %[sum]" : [sum] "+x"(sum) : [x] "x"(x), [w] "x"(w));
}

}  // namespace

void WideRunAvxVnni(const WideRows& a, const WidePanels& b, float* y, int64_t y_stride) {
  WideRunInAvx2<Dot>(a, b, y, y_stride);
}

}  // namespace mezzo
