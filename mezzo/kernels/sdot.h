// Arm's dot product, written out: files that use it are compiled for processors without it too, and
// what the linker takes from them runs there.
#pragma once

#include <arm_neon.h>

namespace mezzo {

// Each int32 of `sums` += the four products of its bytes of a and b.
[[gnu::always_inline]] inline void Sdot(int32x4_t& sums, int8x16_t a, int8x16_t b) {
  asm(".arch armv8.2-a+dotprod\n\tsdot %[sums].4s, %[a].16b, %[b].16b"
      : [sums] "+w"(sums)
      : [a] "w"(a), [b] "w"(b));
}

}  // namespace mezzo
