#include "mezzo/runtime/macs.h"

#include <unordered_map>

namespace mezzo {
namespace {

// Shapes of everything, by name.
using Shapes = std::unordered_map<std::string, Shape>;

int64_t NodeMacs(const Node& node, const Shapes& shapes) {
  const auto shape = [&](const std::string& name) -> const Shape& {
    static const Shape kNone;
    const auto it = shapes.find(name);
    return it == shapes.end() ? kNone : it->second;
  };
  if (node.inputs.size() < 2 || node.outputs.empty()) return 0;
  const Shape &x = shape(node.inputs[0]), &w = shape(node.inputs[1]), &y = shape(node.outputs[0]);
  if (x.empty() || w.empty() || (y.empty() && !node.Is("MatMul"))) return 0;
  if (node.Is("Conv") || node.Is("ConvTranspose")) {
    // every element of the output (or input, transposed) meets one filter
    const Shape& each = node.Is("Conv") ? y : x;
    return NumElements(each) * (w[0] ? NumElements(w) / w[0] : 0);
  }
  if (node.Is("Gemm")) return NumElements(y) * (node.Int("transA", 0) ? x[0] : x.back());
  if (node.Is("MatMul")) return NumElements(y) * x.back();
  if (node.Is("LSTM") || node.Is("GRU") ||
      node.Is("RNN")) {  // x (time, batch, in), w (dirs, gates*h, in)
    const Shape& r = shape(node.inputs.at(2));
    return x.size() == 3 ? x[0] * x[1] * (NumElements(w) + NumElements(r)) : 0;
  }
  return 0;
}

}  // namespace

std::map<std::string, int64_t> CountMacs(const Graph& graph, const Session& session,
                                         const TensorMap& inputs) {
  Shapes shapes;
  for (const auto& [name, t] : graph.initializers) shapes[name] = t.shape();
  for (const auto& [name, t] : inputs) shapes[name] = t.shape();
  session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
    shapes[node.outputs[output]] = value.shape();
  });
  std::map<std::string, int64_t> macs;
  for (const Node& node : graph.nodes)
    if (const int64_t n = NodeMacs(node, shapes)) macs[node.name] = n;
  return macs;
}

}  // namespace mezzo
