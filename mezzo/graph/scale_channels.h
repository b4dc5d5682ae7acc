// ScaleChannels: some values are stored per channel in other units, and the layers around take that
// up.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

// By value: what each of its channels is divided by. Channels lie along axis 1 of what convolutions
// make or read, and along the last axis of what Gemm and MatMul read.
using ChannelScales = std::map<std::string, std::vector<float>>;

// A layer whose input 1 is a constant float32 weight, and how its channels lie in it.
struct LayerChannels {
  bool convolution = false;
  int64_t inputs = 0, outputs = 0;  // channels of the layer's input and output
  int64_t groups = 1, taps = 1;
  bool out_first = true;  // (outputs, inputs / groups, taps), else (inputs, outputs)

  // False in `is_layer` for nodes that are no Conv, Gemm or MatMul with such a weight of up to
  // rank 5.
  static bool Of(const Graph& graph, const Node& node, LayerChannels* out);
  // Calls f(index in the weight, input channel, output channel) for every weight.
  template <class F>
  void Each(F f) const {
    const int64_t in_group = inputs / groups, out_group = outputs / groups;
    if (!out_first) {
      for (int64_t i = 0; i < inputs; ++i)
        for (int64_t o = 0; o < outputs; ++o) f(i * outputs + o, i, o);
      return;
    }
    for (int64_t o = 0; o < outputs; ++o)
      for (int64_t i = 0; i < in_group; ++i)
        for (int64_t t = 0; t < taps; ++t)
          f((o * in_group + i) * taps + t, o / out_group * in_group + i, o);
  }
};

inline constexpr char kEqualizedSuffix[] = "_equalized";

// Relu, Clip from 0 to a constant, pools and Concat along axis 1: what they make of scaled channels
// is scaled alike.
bool KeepsChannelScales(const Graph& graph, const Node& node);

// The graph with the values of `scales` divided by them, and the same outputs up to rounding, and
// but for what a Clip bounds.
// - A value that a Conv makes holds the scaled channels, and so does what Relu, pools and Concat
//   make of it; layers that read it take the scales into their weights, for other readers a Mul
//   restores the units. A Clip keeps its bounds, which needs scales of at most 1: it then bounds a
//   channel at the scale times what it did.
// - For any other value a Mul makes a scaled copy, which the layers read that read the value.
// Scaled values are named NAME_equalized.
// Throws UsageError naming the value if there is none, the number of scales is wrong or one is not
// positive, or above 1 before a Clip, or a scaled value is an output of the graph.
//
// METHODS: Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.1 (cross-layer
// equalization); Xiao et al. 2022, https://arxiv.org/abs/2211.10438 (SmoothQuant).
Graph ScaleChannels(const Graph& graph, const ChannelScales& scales);

}  // namespace mezzo
