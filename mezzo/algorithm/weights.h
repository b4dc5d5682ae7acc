// Weights as int8 codes: symmetric, one scale an output channel.
//
// Engines on x86 without VNNI multiply uint8 activations by int8 weights with vpmaddubsw, which
// adds two neighbouring products in 16 bits and saturates: silently another result than on the next
// machine. It cannot happen if no two neighbours of one sign sum to more than 128 (255 * 128 <
// 2^15). Limiting pairs that way costs a fraction of the bit that the usual remedy, 7-bit weights,
// costs.
#pragma once

#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

// How the weight of a Conv, Gemm or MatMul is laid out: `channels` rows of `depth` values that are
// summed together, in the order (kernel position, input channel) in which engines pair them.
struct WeightRows {
  int64_t channels = 0, depth = 0;
  int64_t inputs = 1, taps = 1;  // depth = taps * inputs
  bool row_major = true;         // (out, in, taps); else (in, out)
  bool depthwise = false;        // engines have exact kernels of their own for these

  WeightRows(const Node& node, const Tensor& weight);
  int64_t At(int64_t channel, int64_t k) const {
    return row_major ? (channel * inputs + k % inputs) * taps + k / inputs : k * channels + channel;
  }
};

constexpr int32_t kPairLimit = 128;

// Brings a same-sign pair to sum at most kPairLimit, each giving half of the excess.
void LimitPair(int32_t& a, int32_t& b);

// True if some engine multiplies weights k and k + 1 of a row together: pairs begin anew at each
// kernel position in some, in others not.
bool PairsWithNext(const WeightRows& rows, int64_t k);

// Scales: max|w| / 127, at least the smallest normal float; with `limit_pairs` the scale between
// that and twice that whose limited codes have the least squared error.
std::vector<float> WeightScales(const Node& node, const Tensor& weight, bool limit_pairs);

// The nearest codes, laid out as the weight is. With `limit_pairs` same-sign neighbours that sum to
// more than 128 are moved together to the nearest pair that does not (depthwise weights excepted).
Tensor WeightCodes(const Node& node, const Tensor& weight, const std::vector<float>& scales,
                   bool limit_pairs);

// Throws UsageError naming a float constant that holds NaN.
void CheckWeights(const Graph& graph);

}  // namespace mezzo
