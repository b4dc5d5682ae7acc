#include "mezzo/runtime/macs.h"

#include <algorithm>
#include <set>
#include <unordered_map>

namespace mezzo {
namespace {

struct Seen {
  Shape shape;
  DType dtype = DType::kNone;
  int64_t bytes = 0;
  const void* data = nullptr;
};

// Everything that a run read or made, by name.
class Values {
 public:
  void Enter(const std::string& name, const Tensor& t) {
    seen_[name] = {t.shape(), t.dtype(), static_cast<int64_t>(t.bytes()), t.raw()};
  }
  const Seen& operator[](const std::string& name) const {
    static const Seen kNone;
    const auto it = seen_.find(name);
    return it == seen_.end() ? kNone : it->second;
  }

 private:
  std::unordered_map<std::string, Seen> seen_;
};

// Also of the integer operator that stands for it.
bool IsProduct(const Node& node, const char* op) {
  return node.Is(op) || (node.domain == "mezzo" && node.op_type == std::string("Q") + op);
}

int64_t NodeMacs(const Node& node, const Values& values) {
  if (node.inputs.size() < 2 || node.outputs.empty()) return 0;
  const Shape &x = values[node.inputs[0]].shape, &w = values[node.inputs[1]].shape,
              &y = values[node.outputs[0]].shape;
  if (x.empty() || w.empty() || (y.empty() && !IsProduct(node, "MatMul"))) return 0;
  if (IsProduct(node, "Conv") || node.Is("ConvTranspose")) {
    // every element of the output (or input, transposed) meets one filter
    const Shape& each = node.Is("ConvTranspose") ? x : y;
    return NumElements(each) * (w[0] ? NumElements(w) / w[0] : 0);
  }
  if (node.Is("Gemm")) return NumElements(y) * (node.Int("transA", 0) ? x[0] : x.back());
  if (IsProduct(node, "MatMul")) return NumElements(y) * x.back();
  if (node.domain == "mezzo" && node.op_type == "Attention") {
    const std::vector<int64_t> perm = node.Ints("v_perm");
    const Shape& v = values[node.inputs[2]].shape;
    const size_t rows = v.size() - 2;  // one for each key
    return (NumElements(x) + NumElements(y)) *
           v[perm.empty() ? rows : static_cast<size_t>(perm[rows])];
  }
  if (node.Is("LSTM") || node.Is("GRU") ||
      node.Is("RNN")) {  // x (time, batch, in), w (dirs, gates*h, in)
    const Shape& r = values[node.inputs.at(2)].shape;
    return x.size() == 3 ? x[0] * x[1] * (NumElements(w) + NumElements(r)) : 0;
  }
  return 0;
}

int64_t NodeBytes(const Node& node, const Values& values) {
  static const std::set<std::string> kViews{"Reshape", "Flatten", "Squeeze", "Unsqueeze",
                                            "Identity"};
  static const std::set<std::string> kPicks{"Gather", "GatherElements", "GatherND", "Slice"};
  const auto is_one_of = [&](const std::set<std::string>& ops) {
    return node.domain.empty() && ops.contains(node.op_type);
  };
  int64_t made = 0, read = 0;
  for (const std::string& name : node.outputs) made += values[name].bytes;
  if (node.Is("Shape") || node.Is("Size")) return made;
  if (is_one_of(kViews) && values[node.inputs.at(0)].data == values[node.outputs.at(0)].data)
    return 0;
  for (const std::string& name : std::set<std::string>(node.inputs.begin(), node.inputs.end())) {
    const int64_t bytes = values[name].bytes;
    read += is_one_of(kPicks) && name == node.inputs[0] ? std::min(bytes, made) : bytes;
  }
  return made + read;
}

}  // namespace

std::string FirstOutput(const Node& node) {
  const auto first = std::find_if(node.outputs.begin(), node.outputs.end(),
                                  [](const std::string& name) { return !name.empty(); });
  return first == node.outputs.end() ? "" : *first;
}

std::vector<NodeWork> MeasureWork(const Graph& graph, const Session& session,
                                  const TensorMap& inputs) {
  Values values;
  for (const auto& [name, t] : graph.initializers) values.Enter(name, Widen4(t));  // as it runs
  for (const auto& [name, t] : inputs) values.Enter(name, t);
  session.Run(inputs, [&](const Node& node, size_t output, Tensor& value) {
    values.Enter(node.outputs[output], value);
  });
  std::vector<NodeWork> work;
  for (const Node& node : graph.nodes) {
    const Seen& y = values[FirstOutput(node)];
    work.push_back({NodeMacs(node, values), NodeBytes(node, values), y.dtype, y.shape});
  }
  return work;
}

std::map<std::string, int64_t> CountMacs(const Graph& graph, const Session& session,
                                         const TensorMap& inputs) {
  const std::vector<NodeWork> work = MeasureWork(graph, session, inputs);
  std::map<std::string, int64_t> macs;
  for (size_t i = 0; i < work.size(); ++i)
    if (work[i].macs) macs[graph.nodes[i].name] = work[i].macs;
  return macs;
}

}  // namespace mezzo
