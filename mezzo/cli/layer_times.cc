#include "mezzo/cli/layer_times.h"

#include <map>

#include "mezzo/graph/graph.h"
#include "mezzo/report/measure.h"

namespace mezzo {
namespace {

std::map<std::string, int64_t> NodeTimes(const Graph& g, const TensorMap& inputs, double whole_ms,
                                         const Threads& threads) {
  constexpr int kRuns = 15;
  const Session session(g, {threads});
  session.Run(inputs);
  std::vector<std::vector<int64_t>> runs(kRuns);
  for (auto& ns : runs) session.Profile(inputs, &ns);
  std::map<std::string, int64_t> times;
  for (size_t k = 0; k < g.nodes.size(); ++k) {
    std::vector<double> one;
    for (const auto& ns : runs) one.push_back(static_cast<double>(ns[k]));
    times[g.nodes[k].name] += static_cast<int64_t>(Median(one));
  }
  double sum = 0;
  for (const auto& [name, ns] : times) sum += static_cast<double>(ns);
  for (auto& [name, ns] : times)
    ns = static_cast<int64_t>(static_cast<double>(ns) * 1e6 * whole_ms / sum);
  return times;
}

}  // namespace

LayerTimes MeasureLayerTimes(const Graph& graph, const Graph& lowered,
                             const std::vector<std::string>& layers, const TensorMap& inputs,
                             const Threads& threads) {
  const auto [float_ms, int8_ms] =
      MedianLatencies(Session(graph, {threads}), Session(lowered, {threads}), inputs);
  const auto floats = NodeTimes(graph, inputs, float_ms, threads);
  const auto integers = NodeTimes(lowered, inputs, int8_ms, threads);
  const Uses uses(graph);
  LayerTimes times;
  for (const auto& [name, ns] : integers) times.rest_ns += ns;
  for (const auto& [name, ns] : floats) times.float_ns += ns;
  for (const std::string& layer : layers) {
    const auto it = integers.find(layer);
    LayerTimes::Time time{it == integers.end() ? 0 : it->second, floats.at(layer)};
    for (const Node& node : graph.nodes)
      if ((node.Is("Relu") || node.Is("Clip")) && uses.producer.contains(node.inputs[0]) &&
          graph.nodes[uses.producer.at(node.inputs[0])].name == layer)
        time.float_ns += floats.at(node.name);
    times.rest_ns -= time.int8_ns;
    times.layers.push_back(time);
  }
  return times;
}

}  // namespace mezzo
