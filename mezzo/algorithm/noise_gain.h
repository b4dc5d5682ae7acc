// How much noise in each channel of a value matters to the model's outputs.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/calibrate/channels.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// The channels of a value, or one number for all of them; relative to other channels of the graph.
using ChannelGains = std::map<std::string, std::vector<double>>;

// Walks back from the outputs with the squares of what independent noise is multiplied by: through
// a layer sum_o w_oc^2 gain_o; through a product of two activations the mean square of the other
// one
// (`channels`, where it has it); through other elementwise operators, pools and concatenations 1;
// where channels are not followed, the mean of all.
ChannelGains NoiseGains(const Graph& graph,
                        const std::map<std::string, std::vector<ChannelRange>>& channels);

// A value's gain for each of so many channels: the mean for all where they are not told apart.
std::vector<double> GainsOf(const ChannelGains& gains, const std::string& value, int64_t channels);

// The values whose channels NoiseGains needs, along axis 1.
std::vector<std::string> NeededChannels(const Graph& graph);

}  // namespace mezzo
