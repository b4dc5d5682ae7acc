#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "mezzo/graph/passes.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/fuse.h"

namespace mezzo {
namespace {

using Kind = vmath::Step::Kind;

std::optional<Kind> KindOf(const Node& node) {
  static const std::map<std::string, Kind> kKinds = {
      {"Add", Kind::kAdd},         {"Sub", Kind::kSub},  {"Mul", Kind::kMul}, {"Div", Kind::kDiv},
      {"Erf", Kind::kErf},         {"Exp", Kind::kExp},  {"Neg", Kind::kNeg}, {"Sqrt", Kind::kSqrt},
      {"Sigmoid", Kind::kSigmoid}, {"Tanh", Kind::kTanh}};  // and Clip, of two steps
  const auto it = node.domain.empty() ? kKinds.find(node.op_type) : kKinds.end();
  return it == kKinds.end() ? std::nullopt : std::optional(it->second);
}

// The constant that is one float; null if the value is none.
const Tensor* NumberOf(const Graph& graph, const std::string& value) {
  const Tensor* t = graph.Initializer(value);
  return t && t->dtype() == DType::kFloat32 && t->numel() == 1 && t->rank() <= 1 ? t : nullptr;
}

// Whether a node's scale is one number, its zero point a byte, and the other side float32.
bool HasByteGrid(const Graph& graph, const Node& node) {
  if (!node.HasInput(2) || node.Int("block_size", 0) != 0 || node.Int("output_dtype", 0) != 0)
    return false;
  const Tensor *scale = graph.Initializer(node.inputs[1]),
               *zero = graph.Initializer(node.inputs[2]);
  if (!scale || scale->numel() != 1 || scale->rank() > 1 || scale->dtype() != DType::kFloat32 ||
      !zero)
    return false;
  return zero->dtype() == DType::kUInt8 || zero->dtype() == DType::kInt8;
}
float ScaleOf(const Graph& graph, const Node& node) {
  return graph.Initializer(node.inputs[1])->data<float>()[0];
}
int64_t ZeroOf(const Graph& graph, const Node& node) {
  const Tensor& zero = *graph.Initializer(node.inputs[2]);
  return zero.dtype() == DType::kUInt8 ? int64_t{zero.data<uint8_t>()[0]}
                                       : int64_t{zero.data<int8_t>()[0]};
}

// Nodes that together compute a function of some values, element by element.
struct Region {
  std::set<size_t> nodes;
  std::vector<std::string> inputs;  // values, and constants of several elements
};

class Regions {
 public:
  explicit Regions(const Graph& graph) : graph_(graph), uses_(graph) {}

  // The largest region of floats that ends with node i; of no nodes if there is none.
  Region EndingWith(size_t i) const {
    std::set<std::string> outside;  // values that others need too
    Region region;
    for (bool changed = IsStep(graph_.nodes[i]); changed;) {
      region = Collect(i, outside);
      changed = false;
      for (const size_t n : region.nodes)
        if (n != i && IsReadOutside(region, graph_.nodes[n].outputs[0]))
          changed = outside.insert(graph_.nodes[n].outputs[0]).second;
    }
    return HasFloat(region) ? region : Region();
  }

  // The DequantizeLinear of bytes that makes a value, or null.
  const Node* DequantizeOf(const std::string& value) const {
    const auto producer = uses_.producer.find(value);
    if (producer == uses_.producer.end()) return nullptr;
    const Node& node = graph_.nodes[producer->second];
    return node.Is("DequantizeLinear") && HasByteGrid(graph_, node) ? &node : nullptr;
  }

  // The steps of a region and what they are made of.
  void Write(const Region& region, Node& made) const {
    std::map<std::string, int64_t> index;
    std::vector<float> scales;
    std::vector<int64_t> zeros;
    for (const std::string& in : region.inputs) {
      const auto place = static_cast<int64_t>(made.inputs.size());
      index[in] = place == 0 ? 0 : vmath::Step::kInput + place;
      const Node* dequantize = DequantizeOf(in);
      made.inputs.push_back(dequantize ? dequantize->inputs[0] : in);
      scales.push_back(dequantize ? ScaleOf(graph_, *dequantize) : 0.0f);
      zeros.push_back(dequantize ? ZeroOf(graph_, *dequantize) : 0);
    }
    Steps steps;
    for (const size_t i : region.nodes) index[graph_.nodes[i].outputs[0]] = Add(i, index, steps);
    made.attributes = {{"kinds", steps.kinds},         {"a", steps.a},       {"b", steps.b},
                       {"constants", steps.constants}, {"rank", steps.rank}, {"in_scales", scales},
                       {"in_zero_points", zeros}};
  }

  const Uses& uses() const { return uses_; }

 private:
  struct Steps {
    std::vector<int64_t> kinds, a, b;
    std::vector<float> constants;
    int64_t rank = 0;  // of numbers, at most
  };

  // Adds the steps of node i; the operand that stands for its result.
  int64_t Add(size_t i, const std::map<std::string, int64_t>& index, Steps& steps) const {
    const Node& node = graph_.nodes[i];
    float constant = 0;
    const auto operand = [&](size_t k) -> int64_t {
      if (k >= node.inputs.size()) return 0;
      const Tensor* number = NumberOf(graph_, node.inputs[k]);
      if (!number) return index.at(node.inputs[k]);
      constant = number->data<float>()[0];
      steps.rank = std::max(steps.rank, static_cast<int64_t>(number->rank()));
      return vmath::Step::kConstant;
    };
    const auto add = [&](Kind kind, int64_t a, int64_t b) {
      steps.kinds.push_back(static_cast<int64_t>(kind));
      steps.a.push_back(a), steps.b.push_back(b), steps.constants.push_back(constant);
      return static_cast<int64_t>(steps.kinds.size());
    };
    int64_t made = operand(0);
    if (!node.Is("Clip")) return add(*KindOf(node), made, operand(1));
    for (size_t k = 1; k < node.inputs.size(); ++k)
      if (node.HasInput(k)) made = add(k == 1 ? Kind::kMax : Kind::kMin, made, operand(k));
    return made;
  }

  // Whether a node may be part of a region: its constants are of type float, not all it reads is
  // constant, and Clip's bounds are.
  bool IsStep(const Node& node) const {
    const bool clip = node.Is("Clip");
    if ((!clip && !KindOf(node)) || node.outputs.size() != 1) return false;
    for (size_t k = 0; k < node.inputs.size(); ++k) {
      const Tensor* t = graph_.Initializer(node.inputs[k]);
      if (t && (t->dtype() != DType::kFloat32 || t->numel() == 0)) return false;
      if (clip && k > 0 && node.HasInput(k) && !NumberOf(graph_, node.inputs[k])) return false;
    }
    const auto varies = [&](const std::string& in) {
      return !in.empty() && !graph_.Initializer(in);
    };
    return std::any_of(node.inputs.begin(), node.inputs.end(), varies) &&
           (!clip || node.HasInput(1) || node.HasInput(2));
  }

  // Node i and steps before it, the nearest first, as far as there is room; none of those that make
  // values `outside`.
  Region Collect(size_t i, const std::set<std::string>& outside) const {
    Region region = RegionOf({i});
    std::vector<size_t> next{i};
    for (size_t at = 0; at < next.size(); ++at)
      for (const std::string& in : graph_.nodes[next[at]].inputs) {
        const auto producer = uses_.producer.find(in);
        if (producer == uses_.producer.end() || outside.contains(in) ||
            region.nodes.contains(producer->second) || !IsStep(graph_.nodes[producer->second]))
          continue;
        std::set<size_t> nodes = region.nodes;
        nodes.insert(producer->second);
        Region larger = RegionOf(std::move(nodes));
        if (larger.inputs.size() > vmath::kMaxInputs || StepsIn(larger) > vmath::kMaxSteps)
          continue;
        region = std::move(larger);
        next.push_back(producer->second);
      }
    return region;
  }
  Region RegionOf(std::set<size_t> nodes) const {
    Region region{std::move(nodes), {}};
    std::set<std::string> known;
    for (const size_t n : region.nodes) {
      for (const std::string& in : graph_.nodes[n].inputs)
        if (!in.empty() && !NumberOf(graph_, in) && known.insert(in).second)
          region.inputs.push_back(in);
      known.insert(graph_.nodes[n].outputs[0]);
    }
    return region;
  }
  size_t StepsIn(const Region& region) const {
    size_t steps = 0;
    for (const size_t n : region.nodes) steps += graph_.nodes[n].Is("Clip") ? 2 : 1;
    return steps;
  }

  bool IsReadOutside(const Region& region, const std::string& value) const {
    size_t inside = 0;
    for (const size_t n : region.nodes) {
      const std::vector<std::string>& in = graph_.nodes[n].inputs;
      inside += static_cast<size_t>(std::count(in.begin(), in.end(), value));
    }
    return uses_.count(value) != inside;
  }

  // Whether a constant or DequantizeLinear says that all are of type float.
  bool HasFloat(const Region& region) const {
    for (const size_t n : region.nodes)
      for (const std::string& in : graph_.nodes[n].inputs)
        if (graph_.Initializer(in) || DequantizeOf(in)) return true;
    return false;
  }

  const Graph& graph_;
  Uses uses_;
};

// The node that alone reads a value.
const Node* OnlyReader(const Graph& graph, const Uses& uses, const std::string& value) {
  const auto consumers = uses.consumers.find(value);
  if (uses.count(value) != 1 || consumers == uses.consumers.end()) return nullptr;
  return &graph.nodes[consumers->second[0]];
}

// Whether a node is a QuantizeLinear of a value to bytes, with one scale.
bool QuantizesToBytes(const Graph& graph, const Node& q, const std::string& value) {
  return q.Is("QuantizeLinear") && q.inputs[0] == value && HasByteGrid(graph, q);
}

// Such a node that alone reads the value.
const Node* OnlyQuantize(const Graph& graph, const Uses& uses, const std::string& value) {
  const Node* reader = OnlyReader(graph, uses, value);
  return reader && QuantizesToBytes(graph, *reader, value) ? reader : nullptr;
}

void WriteGrid(const Graph& graph, const Node& q, Node& made) {
  made.attributes["y_scale"] = ScaleOf(graph, q);
  made.attributes["y_zero_point"] = ZeroOf(graph, q);
  made.attributes["y_type"] = std::string(Name(graph.Initializer(q.inputs[2])->dtype()));
}

}  // namespace

void FuseSoftmax(Graph& graph, LowerReport* report) {
  const Uses uses(graph);
  std::set<size_t> gone;
  // what makes a value that only one node reads
  const auto maker = [&](const std::string& value) {
    const auto it = uses.producer.find(value);
    return it != uses.producer.end() && uses.count(value) == 1 ? &graph.nodes[it->second] : nullptr;
  };
  const auto number = [&](const Node* node) {
    const bool scales = node && (node->Is("Mul") || node->Is("Div")) && node->inputs.size() == 2;
    return scales ? NumberOf(graph, node->inputs[1]) : nullptr;
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& softmax = graph.nodes[i];
    if (!softmax.Is("Softmax") || softmax.Int("axis", -1) != -1) continue;
    const Node* q = OnlyQuantize(graph, uses, softmax.outputs[0]);
    if (!q) continue;
    std::vector<const Node*> parts = {&softmax, q};
    Node made;
    made.op_type = "Softmax", made.domain = "mezzo", made.name = q->name;
    made.inputs = {softmax.inputs[0]}, made.outputs = q->outputs;
    WriteGrid(graph, *q, made);
    const Node* add = maker(made.inputs[0]);
    if (add && add->Is("Add")) {
      const size_t x = number(maker(add->inputs[1])) ? 1 : 0;
      made.inputs = {add->inputs[x], add->inputs[1 - x]};
      parts.push_back(add);
    }
    const Node* scaling = maker(made.inputs[0]);
    if (const Tensor* c = number(scaling)) {
      made.attributes["kinds"] = std::vector<int64_t>{static_cast<int64_t>(*KindOf(*scaling))};
      made.attributes["a"] = std::vector<int64_t>{0};
      made.attributes["b"] = std::vector<int64_t>{vmath::Step::kConstant};
      made.attributes["constants"] = std::vector<float>{c->data<float>()[0]};
      made.inputs[0] = scaling->inputs[0];
      parts.push_back(scaling);
    }
    std::vector<LowerReport::Source> sources;
    for (const Node* part : parts) {
      sources.insert(sources.begin() + (part == q ? 1 : 0), {part->name, part->op_type});
      gone.insert(static_cast<size_t>(part - graph.nodes.data()));
    }
    if (report) report->replaced[made.outputs[0]] = std::move(sources);
    const auto at = static_cast<size_t>(q - graph.nodes.data());
    gone.erase(at);
    graph.nodes[at] = std::move(made);
  }
  RemoveNodes(graph, gone);
}

void FuseNormalization(Graph& graph, LowerReport* report) {
  const Uses uses(graph);
  const auto row = [&](const Node& node, size_t i) {
    const Tensor* t = graph.Initializer(node.inputs[i]);
    return t && t->dtype() == DType::kFloat32 && t->rank() == 1 && t->numel() > 1;
  };
  std::set<size_t> gone;
  for (Node& norm : graph.nodes) {
    if (!norm.Is("LayerNormalization") || norm.outputs.size() != 1 || norm.Int("axis", -1) != -1 ||
        !row(norm, 1) || (norm.HasInput(2) && !row(norm, 2)))
      continue;
    const auto producer = uses.producer.find(norm.inputs[0]);
    if (producer == uses.producer.end() || !graph.nodes[producer->second].Is("Add")) continue;
    Node& add = graph.nodes[producer->second];  // where all inputs are there
    if (graph.Initializer(add.inputs[0]) || graph.Initializer(add.inputs[1])) continue;
    const std::string sum = add.outputs[0], normal = norm.outputs[0];
    const bool sum_read = uses.count(sum) > 1;
    Node made;
    made.op_type = "AddNormalize", made.domain = "mezzo", made.name = norm.name;
    made.attributes = norm.attributes;
    made.inputs = {add.inputs[0], add.inputs[1], norm.inputs[1]};
    if (norm.HasInput(2)) made.inputs.push_back(norm.inputs[2]);
    made.outputs = {normal, sum_read ? sum : ""};
    std::vector<LowerReport::Source> sources{{norm.name, norm.op_type}, {add.name, add.op_type}};
    gone.insert(static_cast<size_t>(&norm - graph.nodes.data()));
    if (const auto readers = uses.consumers.find(normal); readers != uses.consumers.end())
      for (const size_t i : readers->second) {
        const Node& q = graph.nodes[i];
        if (!QuantizesToBytes(graph, q, normal)) continue;
        WriteGrid(graph, q, made);
        made.outputs.push_back(q.outputs[0]);
        if (uses.count(normal) == 1) made.outputs[0].clear();
        sources.push_back({q.name, q.op_type});
        gone.insert(i);
        break;
      }
    if (report)
      for (const std::string& y : made.outputs)
        if (!y.empty()) report->replaced[y] = sources;
    add = std::move(made);
  }
  RemoveNodes(graph, gone);
}

void FuseFunctions(Graph& graph, LowerReport* report) {
  const Regions regions(graph);
  std::set<size_t> gone;
  for (size_t last = graph.nodes.size(); last-- > 0;) {
    if (gone.contains(last)) continue;
    const Region region = regions.EndingWith(last);
    if (region.nodes.empty()) continue;
    std::vector<const Node*> parts;
    for (const std::string& in : region.inputs)
      if (const Node* dequantize = regions.DequantizeOf(in)) parts.push_back(dequantize);
    for (const size_t n : region.nodes) parts.push_back(&graph.nodes[n]);
    const Node* q = OnlyQuantize(graph, regions.uses(), graph.nodes[last].outputs[0]);
    if (q) parts.push_back(q);
    if (parts.size() < 2) continue;
    const auto at = static_cast<size_t>(parts.back() - graph.nodes.data());
    Node made;
    made.op_type = "Function";
    made.domain = "mezzo";
    made.name = graph.nodes[at].name;
    made.outputs = graph.nodes[at].outputs;
    regions.Write(region, made);
    if (q) WriteGrid(graph, *q, made);
    std::vector<LowerReport::Source> sources;
    for (const Node* part : parts) sources.push_back({part->name, part->op_type});
    if (report) report->replaced[made.outputs[0]] = std::move(sources);
    gone.insert(region.nodes.begin(), region.nodes.end());
    gone.erase(at);
    graph.nodes[at] = std::move(made);
  }
  RemoveNodes(graph, gone);
  RemoveUnused(graph);  // DequantizeLinear that nobody else reads
}

}  // namespace mezzo
