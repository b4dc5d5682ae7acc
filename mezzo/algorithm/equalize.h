// Cross-layer equalization: where a few channels of a tensor are far larger than the others, the
// grid that all share is coarse for the others. Dividing channels by scales of their own before the
// tensor is quantized, and multiplying the weights that read it, leaves the network's function as
// it is.
//
// For scales s the noise that quantization leaves in what reads the tensor is about
//   sum_c g_c s_c^2 D^2 / 12 + sum_o (max_c |w_oc| s_c / 127)^2 / 12 * sum_c E[x_c^2] / s_c^2
// with g_c what noise in the channel counts (noise_gain.h) and D the step of the grid that covers
// all x_c / s_c. Scales that equal the channels' ranges minimize the first term; the second, from
// weights that take the scales up, is why less can be better. Depthwise weights have a scale for
// each channel: for them it does not grow. Where functions in float read the tensor the first term
// is measured instead, by rounding the tensor alone on tuning samples.
//
// METHODS: Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.1; Xiao et al. 2022,
// https://arxiv.org/abs/2211.10438, whose family of scales is searched here by the formula above.
#pragma once

#include <map>
#include <set>
#include <string>

#include "mezzo/algorithm/distortion.h"
#include "mezzo/calibrate/calibrators.h"
#include "mezzo/calibrate/collect.h"
#include "mezzo/graph/scale_channels.h"

namespace mezzo {

struct Equalization {
  ChannelScales scales;               // where they pay by the formula
  std::map<std::string, Range> live;  // of scaled values that are flat at an end: live_range.h
};

// For a prepared float graph of which the nodes named `quantized` will compute in integers; the
// samples tell the channels' ranges.
Equalization ChooseEqualization(const Graph& graph, const std::set<std::string>& quantized,
                                const SampleFn& sample, size_t count, const TuningSet& tuning,
                                const Threads& threads);

}  // namespace mezzo
