// The scale and shift of each output channel that make a quantized layer nearest to the float one.
#pragma once

#include <vector>

#include "mezzo/algorithm/moments.h"
#include "mezzo/base/threads.h"

namespace mezzo {

struct ChannelFit {
  std::vector<float> scale, shift;  // by output channel
};

// For rows w of the weight and q of its quantized form, with C the covariance and m the mean of
// what they multiply: scale = (w C q) / (q C q), from half to twice, and shift = (w - scale q) m;
// without `shifted` the second moments in the place of C, and no shift.
ChannelFit FitChannels(const Node& node, const Tensor& weight, const Tensor& quantized,
                       const Moments& moments, bool shifted, const Threads& threads);

}  // namespace mezzo
