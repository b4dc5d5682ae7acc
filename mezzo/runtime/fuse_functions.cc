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
      {"Sigmoid", Kind::kSigmoid}, {"Tanh", Kind::kTanh}};
  const auto it = node.domain.empty() ? kKinds.find(node.op_type) : kKinds.end();
  return it == kKinds.end() ? std::nullopt : std::optional(it->second);
}

// The constant that is one float; null if the value is none.
const Tensor* NumberOf(const Graph& graph, const std::string& value) {
  const Tensor* t = graph.Initializer(value);
  return t && t->dtype() == DType::kFloat32 && t->numel() == 1 && t->rank() <= 1 ? t : nullptr;
}

// Nodes that together compute a function of one value.
struct Region {
  std::set<size_t> nodes;
  std::string x;           // empty: no value yet
  bool has_float = false;  // a constant says that all are of type float
};

class Regions {
 public:
  explicit Regions(const Graph& graph) : graph_(graph), uses_(graph) {
    for (size_t i = 0; i < graph.nodes.size(); ++i)
      if (std::optional<Region> r = RegionOf(i)) of_[i] = std::move(*r);
  }

  // The steps of a region, which ends with its last node.
  void WriteSteps(const Region& region, Node& made) const {
    std::map<std::string, int64_t> index{{region.x, 0}};
    std::vector<int64_t> kinds, a, b;
    std::vector<float> constants;
    int64_t rank = 0;
    for (const size_t i : region.nodes) {
      const Node& node = graph_.nodes[i];
      int64_t operands[2] = {0, 0};
      float constant = 0;
      for (size_t k = 0; k < node.inputs.size(); ++k) {
        if (const Tensor* c = graph_.Initializer(node.inputs[k])) {
          operands[k] = vmath::Step::kConstant;
          constant = c->data<float>()[0];
          rank = std::max(rank, static_cast<int64_t>(c->rank()));
        } else {
          operands[k] = index.at(node.inputs[k]);
        }
      }
      kinds.push_back(static_cast<int64_t>(*KindOf(node)));
      a.push_back(operands[0]), b.push_back(operands[1]);
      constants.push_back(constant);
      index[node.outputs[0]] = static_cast<int64_t>(kinds.size());
    }
    made.attributes = {
        {"kinds", kinds}, {"a", a}, {"b", b}, {"constants", constants}, {"rank", rank}};
  }

  const std::map<size_t, Region>& all() const { return of_; }
  const Uses& uses() const { return uses_; }

 private:
  // The largest region that ends with node i.
  std::optional<Region> RegionOf(size_t i) const {
    const Node& node = graph_.nodes[i];
    if (!KindOf(node) || node.outputs.size() != 1) return std::nullopt;
    Region with, alone;  // with the regions before it, or not
    bool fits = true, stands = true;
    for (const std::string& in : node.inputs) {
      if (NumberOf(graph_, in)) {
        with.has_float = alone.has_float = true;
        continue;
      }
      if (graph_.Initializer(in)) return std::nullopt;
      stands &= Take(alone, in);
      const auto producer = uses_.producer.find(in);
      const auto before = producer == uses_.producer.end() ? of_.end() : of_.find(producer->second);
      if (before == of_.end()) {
        fits &= Take(with, in);
      } else {
        fits &= Take(with, before->second.x);
        with.nodes.insert(before->second.nodes.begin(), before->second.nodes.end());
        with.has_float |= before->second.has_float;
      }
    }
    with.nodes.insert(i), alone.nodes.insert(i);
    // nobody else may need what lies between
    for (const size_t n : with.nodes) {
      const std::string& y = graph_.nodes[n].outputs[0];
      size_t inside = 0;
      for (const size_t m : with.nodes)
        inside += static_cast<size_t>(
            std::count(graph_.nodes[m].inputs.begin(), graph_.nodes[m].inputs.end(), y));
      fits &= n == i || uses_.count(y) == inside;
    }
    if (fits && with.nodes.size() <= vmath::kMaxSteps) return with;
    return stands ? std::optional(alone) : std::nullopt;
  }

  static bool Take(Region& region, const std::string& x) {
    if (region.x.empty()) region.x = x;
    return region.x == x;
  }

  const Graph& graph_;
  Uses uses_;
  std::map<size_t, Region> of_;  // by last node
};

// The node that alone reads a value.
const Node* OnlyReader(const Graph& graph, const Uses& uses, const std::string& value) {
  const auto consumers = uses.consumers.find(value);
  if (uses.count(value) != 1 || consumers == uses.consumers.end()) return nullptr;
  return &graph.nodes[consumers->second[0]];
}

// The Mul by a constant for each column that alone reads a value: its operand.
std::optional<size_t> FactorsOf(const Graph& graph, const Node* mul, const std::string& value) {
  if (!mul || !mul->Is("Mul") || mul->inputs.size() != 2) return std::nullopt;
  const size_t k = mul->inputs[0] == value ? 1 : 0;
  const Tensor* t = graph.Initializer(mul->inputs[k]);
  const bool fits = t && t->dtype() == DType::kFloat32 && t->rank() > 0 && t->numel() > 1 &&
                    t->dim(t->rank() - 1) == t->numel();
  return fits ? std::optional(k) : std::nullopt;
}

// Whether a node is a QuantizeLinear of a value to bytes, with one scale.
bool QuantizesToBytes(const Graph& graph, const Node& q, const std::string& value) {
  if (!q.Is("QuantizeLinear") || q.inputs[0] != value || !q.HasInput(2)) return false;
  const Tensor *scale = graph.Initializer(q.inputs[1]), *zero = graph.Initializer(q.inputs[2]);
  if (!scale || scale->numel() != 1 || scale->dtype() != DType::kFloat32 || !zero) return false;
  return zero->dtype() == DType::kUInt8 || zero->dtype() == DType::kInt8;
}

// Such a node that alone reads the value.
const Node* OnlyQuantize(const Graph& graph, const Uses& uses, const std::string& value) {
  const Node* reader = OnlyReader(graph, uses, value);
  return reader && QuantizesToBytes(graph, *reader, value) ? reader : nullptr;
}

void WriteGrid(const Graph& graph, const Node& q, Node& made) {
  const Tensor& zero = *graph.Initializer(q.inputs[2]);
  made.attributes["y_scale"] = graph.Initializer(q.inputs[1])->data<float>()[0];
  made.attributes["y_zero_point"] = zero.dtype() == DType::kUInt8 ? int64_t{zero.data<uint8_t>()[0]}
                                                                  : int64_t{zero.data<int8_t>()[0]};
  made.attributes["y_type"] = std::string(Name(zero.dtype()));
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
  for (auto it = regions.all().rbegin(); it != regions.all().rend(); ++it) {
    const auto& [last, region] = *it;
    if (gone.contains(last)) continue;
    const Node* end = &graph.nodes[last];
    const Node* mul = OnlyReader(graph, regions.uses(), end->outputs[0]);
    const std::optional<size_t> factors = FactorsOf(graph, mul, end->outputs[0]);
    if (factors) end = mul;
    const Node* q = OnlyQuantize(graph, regions.uses(), end->outputs[0]);
    if (q) end = q;
    if (!region.has_float || region.nodes.size() + (end != &graph.nodes[last]) < 2) continue;
    const auto at = static_cast<size_t>(end - graph.nodes.data());
    Node made;
    made.op_type = "Function";
    made.domain = "mezzo";
    made.name = graph.nodes[at].name;
    made.inputs = {region.x};
    if (factors) made.inputs.push_back(mul->inputs[*factors]);
    made.outputs = graph.nodes[at].outputs;
    regions.WriteSteps(region, made);
    if (q) WriteGrid(graph, *q, made);
    std::vector<LowerReport::Source> sources;
    for (const size_t n : region.nodes)
      sources.push_back({graph.nodes[n].name, graph.nodes[n].op_type});
    if (factors) sources.push_back({mul->name, mul->op_type});
    if (q) sources.push_back({q->name, q->op_type});
    if (report) report->replaced[made.outputs[0]] = std::move(sources);
    gone.insert(region.nodes.begin(), region.nodes.end());
    if (factors) gone.insert(static_cast<size_t>(mul - graph.nodes.data()));
    gone.erase(at);
    graph.nodes[at] = std::move(made);
  }
  RemoveNodes(graph, gone);
}

}  // namespace mezzo
