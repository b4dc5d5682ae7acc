// What each channel of a value holds over the samples.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/calibrate/collect.h"

namespace mezzo {

struct ChannelRange {
  float lo = 0, hi = 0;  // always holds 0
  double square = 0;     // mean over samples and positions
};

// The channels of each value, along the axis given (negative counts from the back). Left out are
// values of a rank without that axis and those whose number of channels changes. Samples run one
// after the other, so that the sums do not depend on the number of threads.
std::map<std::string, std::vector<ChannelRange>> CollectChannels(
    const Graph& graph, const std::map<std::string, int>& axes, const SampleFn& sample,
    size_t count, const Threads& threads);

}  // namespace mezzo
