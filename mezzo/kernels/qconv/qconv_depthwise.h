// Depthwise convolution over channels-last images, in blocks of channels. Neighbouring codes of a
// row are laid out side by side first, in the four bytes of a channel that one instruction
// multiplies and adds up: as pairs in 16 bits for vpmaddwd, or as quads in 8 bits for vpdpbusd.
#pragma once

#include "mezzo/base/cpu.h"
#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {

// QConv for weights with depthwise(); there must be output pixels.
void QConvDepthwise(const QConvArgs& args, const QConvWeights& w, const QOutput& out,
                    const Threads& threads);

// Some channels of a row of pixels as units: unit i has for each channel of the block the codes of
// the pixels first + i * step + t * distance, t < taps, or `zero` outside [0, pixels).
struct QUnitsOfRow {
  const uint8_t* x;         // channel 0 of pixel 0; null: a row outside the image
  size_t pixel;             // bytes from pixel to pixel
  size_t pixels, channels;  // channels: 1 up to those of a block
  bool is_signed;           // codes are moved up by 128
  uint8_t zero;             // unsigned
  size_t first;             // modulo 2^64: it may be negative
  size_t step, distance, count;
  bool from_afar;  // the images do not fit the second-level cache
  uint8_t* to;
};

// Output pixels of a row, one block of channels of them.
struct QDepthwiseRow {
  const uint8_t* x;  // the unit of the first pixel's first taps
  size_t step;       // bytes from output pixel to output pixel
  size_t count, units;
  const int32_t* offsets;  // bytes to each unit of a pixel
  const uint8_t* w;
  const int32_t* start;  // what the sums of the block's channels begin with
  const QOutput* out;
  size_t channel;   // the first
  size_t channels;  // that are written
  char* y;
  size_t y_step;  // bytes from pixel to pixel
};

// Output pixels of a row whose windows (3x3 or 5x5, no dilation) slide along the columns, for one
// block of channels; or of two rows, for a block of at most half as many as fit.
struct QSlidingRow {
  const uint8_t* x[2][5];  // channel 0 of pixel 0 of the image rows that a window sees
  char* y[2];              // the second is null where there is one row
  size_t y_step;           // bytes from pixel to pixel
  size_t pixel;            // the same of x
  size_t pixels, channels;
  size_t first;  // the column where the first window begins; modulo 2^64: it may be negative
  size_t count;
  uint8_t flip;  // what codes become unsigned by if it is added
  uint8_t zero;  // such a code, outside the image
  const uint8_t* w;
  const int32_t* start;
  const QOutput* out;
  size_t channel;
};

// What an instruction set brings.
struct DepthwiseLines {
  size_t taps;      // of a unit: 2 in 16 bits each, or 4 in 8 bits
  size_t channels;  // of a block
  // Where in a block a channel's four bytes lie, in units of these.
  size_t (*place)(size_t channel);
  void (*make)(const QUnitsOfRow&);
  void (*run)(const QDepthwiseRow&);
  void (*slide)(const QSlidingRow&, size_t kernel, size_t stride);  // or null

  size_t unit_bytes() const { return 4 * channels; }
};
void SlideAvx512Vnni(const QSlidingRow& row, size_t kernel, size_t stride);
extern const DepthwiseLines kDepthwiseAvx2, kDepthwiseAvx512Vnni;

}  // namespace mezzo
