// What the machine can do at best, measured: the ceilings that a layer's time is held against.
//
// METHODS: Williams et al. 2009, the roofline model, https://doi.org/10.1145/1498765.1498785.
#pragma once

#include <cstddef>

#include "mezzo/base/threads.h"

namespace mezzo {

// Of all threads together, a second.
struct MachinePeak {
  double int8_macs = 0;    // multiply-adds of 8-bit codes into int32 sums
  double float_macs = 0;   // of float32
  double read_bytes = 0;   // from memory
  size_t cache_bytes = 0;  // of the last cache; what fits there is not held against memory
};

// Takes under half a second on a machine that does nothing else meanwhile; otherwise longer, and
// finds less. The arithmetic is that of the instruction set in use (CurrentIsa), floats of 512 bits
// included, which no kernel uses for products yet.
MachinePeak MeasurePeak(const Threads& threads);

// Bytes a second that all threads together read from memory: the best of several passes over more
// than most caches hold, each a thread's own stretch.
double ReadBandwidth(const Threads& threads);

// The least seconds that so much work can take, by the slower of arithmetic and memory; NaN if
// neither bounds it: no multiply-adds, and bytes that fit in the last cache.
double RooflineSeconds(const MachinePeak& peak, bool integer, double macs, double bytes);

}  // namespace mezzo
