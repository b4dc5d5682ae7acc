#include "mezzo/algorithm/live_range.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <unordered_set>

#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

constexpr int kPoints = 2001;

bool IsElementwise(const Node& node) {
  static const std::unordered_set<std::string> kOps{
      "Add",       "Sub", "Mul",       "Div", "Clip", "Relu",     "Sigmoid", "HardSigmoid", "Tanh",
      "HardSwish", "Elu", "LeakyRelu", "Erf", "Gelu", "Softplus", "Mish",    "Max",         "Min"};
  return node.domain.empty() && kOps.contains(node.op_type) && node.outputs.size() == 1;
}

// The elementwise nodes that depend on `value` and scalar constants alone, as a graph from a vector
// of values to what others read of them. Empty if `value` itself is read by any other node.
std::optional<Graph> Functions(const Graph& graph, const Uses& uses, const std::string& value) {
  Graph f;
  std::set<std::string> inside{value};
  std::set<size_t> taken;
  const auto scalar = [&](const std::string& name) {
    const Tensor* t = graph.Initializer(name);
    return t && t->numel() == 1 && t->dtype() == DType::kFloat32;
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& node = graph.nodes[i];
    bool uses_value = false, closed = IsElementwise(node);
    for (const std::string& in : node.inputs) {
      uses_value |= inside.contains(in);
      closed &= in.empty() || inside.contains(in) || scalar(in);
    }
    if (!uses_value || !closed) continue;
    taken.insert(i);
    inside.insert(node.outputs[0]);
    f.nodes.push_back(node);
    for (const std::string& in : node.inputs)
      if (!in.empty() && scalar(in)) f.initializers[in] = graph.Initializer(in)->Reshape({});
  }
  f.inputs.push_back({value, DType::kFloat32, {kPoints}, {""}, true});
  for (const std::string& name : inside) {
    const auto users = uses.consumers.find(name);
    bool outside = uses.is_output.contains(name);
    if (users != uses.consumers.end())
      outside |= std::any_of(users->second.begin(), users->second.end(),
                             [&](size_t u) { return !taken.contains(u); });
    if (!outside) continue;
    if (name == value) return std::nullopt;
    f.outputs.push_back({name});
  }
  return f.outputs.empty() ? std::nullopt : std::optional(std::move(f));
}

// How many points at the front, or at the back, have the same value as the first or last one.
int FlatPoints(std::span<const float> y, bool back) {
  const float edge = back ? y[kPoints - 1] : y[0];
  int n = 0;
  while (n < kPoints && y[back ? kPoints - 1 - n : n] == edge) ++n;
  return n;
}

}  // namespace

std::map<std::string, Range> LiveRanges(const Graph& graph,
                                        const std::map<std::string, Range>& seen) {
  const Uses uses(graph);
  std::map<std::string, Range> live;
  for (const auto& [name, range] : seen) {
    const auto f = Functions(graph, uses, name);
    const float lo = std::min(range.lo, 0.0f), hi = std::max(range.hi, 0.0f);
    if (!f || !(lo < hi)) continue;
    Tensor x(DType::kFloat32, {kPoints});
    const auto at = [&](int i) { return lo + (hi - lo) * static_cast<float>(i) / (kPoints - 1); };
    for (int i = 0; i < kPoints; ++i) x.data<float>()[i] = at(i);
    int front = kPoints, back = kPoints;
    for (const Tensor& y : Session(*f, {}).Run({{name, x}})) {
      if (y.numel() != kPoints) {
        front = back = 0;
        break;
      }
      front = std::min(front, FlatPoints(y.span<float>(), false));
      back = std::min(back, FlatPoints(y.span<float>(), true));
    }
    if (front + back >= kPoints || (front < 2 && back < 2)) continue;
    // The last flat point stays inside, so that the flat value itself has a code.
    live[name] = {std::min(0.0f, front < 2 ? lo : at(front - 1)),
                  std::max(0.0f, back < 2 ? hi : at(kPoints - back))};
  }
  return live;
}

}  // namespace mezzo
