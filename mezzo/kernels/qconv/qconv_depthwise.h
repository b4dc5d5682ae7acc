// Depthwise convolution over channels-last images, in blocks of 16 channels: pairs of neighbouring
// codes are laid out side by side in 16 bits first, so that each vpmaddwd does two taps.
#pragma once

#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {

// QConv for weights with depthwise(); there must be output pixels.
void QConvDepthwise(const QConvArgs& args, const QConvWeights& w, const QOutput& out,
                    const Threads& threads);

// Codes of a row of pixels to pairs: to[32 * i + 2 * c + t] = the code of channel c of pixel
// first + i * step + t * distance, or `zero` outside [0, pixels).
struct QPairsOfRow {
  const uint8_t* x;         // channel 0 of pixel 0; null: a row outside the image
  size_t pixel;             // bytes from pixel to pixel
  size_t pixels, channels;  // channels: 1..16
  bool is_signed;           // codes are moved up by 128
  uint8_t zero;             // unsigned
  size_t first;             // modulo 2^64: 0 or negative
  size_t step, distance, count;
  int16_t* to;
};
void MakePairsAvx2(const QPairsOfRow& row);

// Output pixels of a row, 16 channels of them.
struct QDepthwiseRow {
  const int16_t* x;  // pairs of the first pixel's first taps
  size_t step;       // elements from output pixel to output pixel
  size_t count, units;
  const int32_t* offsets;  // elements to the pairs of each unit
  const int16_t* w;        // (units, 16, 2)
  const int32_t* start;    // what the sums of the 16 channels begin with
  const QOutput* out;
  size_t channel;   // the first
  size_t channels;  // 1..16 that are written
  char* y;
  size_t y_step;  // bytes from pixel to pixel
};
void RunDepthwiseRowAvx2(const QDepthwiseRow& row);

}  // namespace mezzo
