// Peak signal-to-noise ratio of a picture (1, C, H, W) against its target: 10 log10(peak^2 / mean
// squared error), the mean over the samples, in dB.
#pragma once

#include "mezzo/evaluate/metric.h"

namespace mezzo {

// With options.round_to_8_bits both sides are first brought to round(255 * clamp(x / peak, 0, 1));
// options.border pixels at each side are left out. 100 dB stands for equal pictures.
std::unique_ptr<Metric> MakePsnr(const MetricOptions& options);

}  // namespace mezzo
