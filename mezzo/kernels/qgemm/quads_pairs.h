// What makes vpmaddubsw exact, which adds two products u8 * s8 in 16 bits and saturates.
//
// It is exact as long as in each of the two halves of a quad the positive weights of a column sum
// up to at most 128 and the negative ones to at least -128, since 255 * 128 < 2^15; and two quads
// whose sums together stay in these bounds may be added in 16 bits before they are widened, which
// saves a quarter of the work. So quads that exceed the bounds are split into several that add up
// to them, and pairs of quads are looked for that can share a 16-bit sum. The order of quads is
// free. Products are exact for all weights, and faster than saturating ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "mezzo/kernels/qgemm/qgemm.h"

namespace mezzo {

// Four rows of 16 columns: (columns, 4).
struct Quad {
  alignas(32) std::array<int8_t, 4 * kQPanel> w;
  uint32_t id;  // which codes it meets
};

// Splits and orders them; returns the number of pairs, which come first.
size_t PairQuads(std::vector<Quad>& quads);

}  // namespace mezzo
