// A layer's weights in any format of weight_format.h: scales, steps of groups, and codes.
//
// Scales and steps are searched by squared error, each weight's weighed by the square of L's
// diagonal (rounding.h): what it costs once later ones make up for it. The best few scales are
// tried, rounding with error correction, where a group's step is chosen again from what its
// weights are to be by then (Frantar et al. 2022, https://arxiv.org/abs/2210.17323, take scales
// there too). The best goes through coordinate descent: each code becomes the best one given all
// others, in sweeps.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mezzo/algorithm/rounding.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/format/weight_format.h"

namespace mezzo {

// The group size that a layer takes if `asked` for: its largest divisor of the inputs that is at
// most so and at least half of it; 0, no groups, if it has none, if one group would hold all, or
// for int8. Groups never reach from one kernel position to the next.
int64_t GroupSize(const Node& node, const Tensor& weight, const WeightFormat& format,
                  int64_t asked);

struct NarrowWeights {
  std::vector<float> scales;   // by channel
  std::vector<uint8_t> steps;  // by channel and group, 1..16; empty without groups
  std::vector<int8_t> codes;   // w8, laid out as the weight is
  double error = 0;            // sum of (w - scale * w8)^2
  // Sum over channels of (w - v)^T H (w - v), for one column: what that makes of the layer's
  // outputs; `error` without a basis.
  double weighted_error = 0;
};

// `group_size` as GroupSize gives it. Without a basis every code is the nearest. int8 as in
// weights.h and rounding.h; `limit_pairs` is for that alone, since other formats' levels cannot
// pass the limit. The weight must be finite. The result does not depend on the number of threads.
NarrowWeights QuantizeWeights(const Node& node, const Tensor& weight, const WeightFormat& format,
                              int64_t group_size, bool limit_pairs, const RoundingBasis* basis,
                              const Threads& threads);

// The nearest w8 with given scales and steps, laid out as the weight is; of a narrow format.
Tensor NearestCodes(const Node& node, const Tensor& weight, const WeightFormat& format,
                    int64_t group_size, const std::vector<uint8_t>& steps,
                    const std::vector<float>& scales);

// scale * w8: the float weight that will run.
Tensor DequantizeWeights(const Node& node, const Tensor& weight, const NarrowWeights& q);

}  // namespace mezzo
