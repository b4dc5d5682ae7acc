// Where channels could get scales: the values that may be scaled, and who reads them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "mezzo/graph/scale_channels.h"

namespace mezzo {

// Something whose channels may get scales: what a convolution makes, or a float value that layers
// read.
struct Source {
  std::string value;
  int64_t channels = 0;
  bool copied = false;    // a Mul makes a scaled copy
  bool restored = false;  // a Mul restores the units for readers in float
  bool clipped = false;  // goes through a Clip: scales are at most 1, and fill what it lets through
  bool pinned = false;
  size_t parent = 0;  // union of those that meet in a Concat
};

// A quantized value, as the channels of one or more sources.
struct Quantized {
  std::string value;
  std::vector<size_t> sources;
};

struct Reader {
  const Node* node;
  LayerChannels layer;
  std::vector<size_t> sources;  // whose channels it reads, in order
};

struct EqualizationSources {
  std::vector<Source> sources;
  std::vector<Quantized> quantized;
  std::vector<Reader> readers;

  // The representative of the sources that get scales together.
  size_t Root(size_t source) const {
    while (sources[source].parent != source) source = sources[source].parent;
    return source;
  }
};

// For a graph, which must outlive the result, of which the nodes named compute in integers.
EqualizationSources FindEqualizationSources(const Graph& graph,
                                            const std::set<std::string>& integer_nodes);

}  // namespace mezzo
