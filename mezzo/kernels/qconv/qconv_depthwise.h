// Depthwise convolution, directly over channels-last pixels.
#pragma once

#include "mezzo/kernels/qconv/qconv.h"

namespace mezzo {

// QConv for weights with depthwise().
void QConvDepthwise(const QConvArgs& args, const QConvWeights& w, const QOutput& out,
                    const Threads& threads);

// What an instruction set brings: the sums of one output pixel for all channels, through the output
// stage. `taps` points at the input pixel of each tap, 2 * w.tap_pairs() of them; taps outside the
// image point at `channels` zero points. `zero_sums[n]` = x_zero * sum of channel n's weights.
struct QDepthwisePixel {
  const uint8_t* const* taps;
  bool is_signed;
  size_t channels;
  const QConvWeights* w;
  const int32_t* zero_sums;  // padded like QOutput's arrays
  const QOutput* out;
  void* y;
};
void RunDepthwisePixelAvx2(const QDepthwisePixel& pixel);

}  // namespace mezzo
