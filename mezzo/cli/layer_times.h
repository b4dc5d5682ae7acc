// What the layers of a network take on this machine, in integers and in float.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mezzo/runtime/session.h"

namespace mezzo {

struct LayerTimes {
  struct Time {
    int64_t int8_ns = 0, float_ns = 0;  // in float with the Relu or Clip behind it
  };
  std::vector<Time> layers;
  int64_t rest_ns = 0;   // of the int8 network, all but the layers
  int64_t float_ns = 0;  // of the float network
};

// Of the layers named, in a float graph and the integers it was lowered to: medians of several
// runs, brought to add up to what a whole run takes.
LayerTimes MeasureLayerTimes(const Graph& graph, const Graph& lowered,
                             const std::vector<std::string>& layers, const TensorMap& inputs,
                             const Threads& threads);

}  // namespace mezzo
