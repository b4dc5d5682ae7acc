// Elementwise operators between one tensor of codes and a QuantizeLinear become a table of 256
// codes, which those operators themselves compute.
#include <algorithm>
#include <functional>

#include "mezzo/runtime/lowering.h"
#include "mezzo/runtime/session.h"

namespace mezzo {
namespace {

bool IsElementwise(const Node& node) {
  static const std::set<std::string> kOps = {"Abs",
                                             "Add",
                                             "Ceil",
                                             "Celu",
                                             "Clip",
                                             "Div",
                                             "Elu",
                                             "Erf",
                                             "Exp",
                                             "Floor",
                                             "Gelu",
                                             "HardSigmoid",
                                             "HardSwish",
                                             "Identity",
                                             "LeakyRelu",
                                             "Log",
                                             "Max",
                                             "Min",
                                             "Mish",
                                             "Mul",
                                             "Neg",
                                             "PRelu",
                                             "Pow",
                                             "Reciprocal",
                                             "Relu",
                                             "Selu",
                                             "Sigmoid",
                                             "Sign",
                                             "Softplus",
                                             "Softsign",
                                             "Sqrt",
                                             "Sub",
                                             "Tanh",
                                             "ThresholdedRelu",
                                             "Sin",
                                             "Cos",
                                             "Round",
                                             "QuantizeLinear",
                                             "DequantizeLinear"};
  return node.domain.empty() && kOps.contains(node.op_type);
}

constexpr size_t kMaxNodes = 24;

}  // namespace

// Walks back from a value over elementwise nodes to codes.
class TableSearch {
 public:
  using CodesFn = std::function<std::optional<CodeValue>(const std::string&)>;
  TableSearch(const Graph& graph, const Uses& uses, CodesFn codes)
      : graph_(graph), uses_(uses), codes_(std::move(codes)) {}

  // False if something on the way is no elementwise node or constant.
  bool Visit(const std::string& value) {
    if (const Tensor* t = graph_.Initializer(value)) return VisitConstant(*t);
    if (seen_.contains(value)) return true;
    if (std::optional<CodeValue> codes = codes_(value)) {
      seen_.insert(value);
      leaves_[codes->value].codes = *codes;
      leaves_[codes->value].values.push_back(value);
      return true;
    }
    return VisitNode(value);
  }

  // Where a value meets a function of itself behind its own QuantizeLinear (x * sigmoid(x)),
  // walking on through that one may leave a single tensor of codes.
  bool Narrow() {
    while (leaves_.size() > 1) {
      auto last = leaves_.end();
      size_t last_node = 0;
      for (auto it = leaves_.begin(); it != leaves_.end(); ++it) {
        const auto made = uses_.producer.find(it->first);
        if (made == uses_.producer.end()) continue;
        if (last == leaves_.end() || made->second > last_node) last = it, last_node = made->second;
      }
      if (last == leaves_.end()) return false;
      const Leaf leaf = last->second;
      leaves_.erase(last);
      for (const std::string& value : leaf.values) {
        seen_.erase(value);
        const auto dq = uses_.producer.find(value);
        // codes that were moved are not those that the table would see
        if (dq == uses_.producer.end() || !graph_.nodes[dq->second].Is("DequantizeLinear"))
          return false;
        if (!VisitNode(value)) return false;
      }
    }
    return leaves_.size() == 1;
  }

  // Of constants with a value for each channel, (C,1,...) or (1,C,1,...): C, else 1; and the axis
  // that they lie along, counted from the back.
  int64_t channels() const { return channels_; }
  size_t axis_from_back() const { return axis_from_back_; }

  struct Leaf {
    CodeValue codes;
    std::vector<std::string> values;  // float values that they stand for
  };
  const Leaf& leaf() const { return leaves_.begin()->second; }
  std::vector<size_t> Nodes() const { return {nodes_.begin(), nodes_.end()}; }

 private:
  bool VisitConstant(const Tensor& t) {
    if (t.numel() == 1) return t.rank() <= 1;
    size_t axis = 0;
    while (axis < t.rank() && t.dim(axis) == 1) ++axis;
    if (axis > 1 || t.dim(axis) != t.numel() || t.rank() - axis < 2) return false;
    if (channels_ > 1) return channels_ == t.numel() && axis_from_back_ == t.rank() - axis;
    channels_ = t.numel();
    axis_from_back_ = t.rank() - axis;
    return true;
  }

  bool VisitNode(const std::string& value) {
    const auto made = uses_.producer.find(value);
    if (made == uses_.producer.end()) return false;
    const Node& node = graph_.nodes[made->second];
    if (!IsElementwise(node) || node.outputs.size() != 1 || nodes_.size() >= kMaxNodes)
      return false;
    seen_.insert(value);
    nodes_.insert(made->second);
    for (const std::string& in : node.inputs)
      if (!in.empty() && !Visit(in)) return false;
    return true;
  }

  const Graph& graph_;
  const Uses& uses_;
  CodesFn codes_;
  std::set<size_t> nodes_;
  std::set<std::string> seen_;
  std::map<std::string, Leaf> leaves_;
  int64_t channels_ = 1;
  size_t axis_from_back_ = 0;
};

namespace {

void CopyConstants(const Graph& from, Graph& to) {
  for (const Node& node : to.nodes)
    for (const std::string& in : node.inputs)
      if (const Tensor* t = from.Initializer(in)) to.initializers[in] = *t;
}

// Runs the nodes over all 256 codes of every channel; entry i is for the code whose byte is i.
Tensor TableOf(const Graph& graph, const TableSearch& search, const Node& quantize) {
  Graph small;
  const TableSearch::Leaf& leaf = search.leaf();
  const std::string input = FreshName(graph, "all codes"), s = FreshName(graph, "their scale"),
                    z = FreshName(graph, "their zero point");
  small.initializers[s] = Tensor::Scalar(leaf.codes.scale);
  small.initializers[z] = Cast(Tensor::Scalar(leaf.codes.zero_point), leaf.codes.dtype);
  for (const std::string& value : leaf.values) {
    Node dq;
    dq.op_type = "DequantizeLinear";
    dq.name = value;
    dq.inputs = {input, s, z};
    dq.outputs = {value};
    small.nodes.push_back(dq);
  }
  for (const size_t i : search.Nodes()) small.nodes.push_back(graph.nodes[i]);
  small.nodes.push_back(quantize);
  CopyConstants(graph, small);
  // axis 1 as the channels lie in what is computed, the codes along the next
  const int64_t channels = search.channels();
  Shape shape{256};
  if (channels > 1) {
    shape = {channels, 256};
    shape.resize(search.axis_from_back(), 1);
  }
  small.inputs = {{input, leaf.codes.dtype, shape, {}, true}};
  small.outputs = {{quantize.outputs[0]}};
  Tensor codes(leaf.codes.dtype, shape);
  for (int64_t i = 0; i < codes.numel(); ++i)
    static_cast<uint8_t*>(codes.raw())[i] = static_cast<uint8_t>(i);
  const Tensor y = Session(small, {}).Run({{input, codes}})[0];
  Require(y.numel() == codes.numel(), "node ", quantize.name, ": its table has ", y.numel(),
          " entries");
  Tensor table(DType::kUInt8, {y.numel()});
  std::copy_n(static_cast<const uint8_t*>(y.raw()), y.numel(), table.data<uint8_t>());
  return table;
}

bool IsIdentity(const Tensor& table) {
  for (int64_t i = 0; i < table.numel(); ++i)
    if (table.data<uint8_t>()[i] != i % 256) return false;
  return true;
}

}  // namespace

// True if a convolution made the codes, or what their own table is of, so that axis 1 holds so many
// channels and is the axis-th from the back.
bool Lowering::HasChannels(std::string value, int64_t channels, size_t axis_from_back) {
  for (const Node* node = Producer(value); node; node = Producer(value)) {
    if (node->Is("Conv")) {
      const std::optional<WeightCodes> w = WeightsOf(node->inputs[1]);
      return w && w->codes.dim(0) == channels && w->codes.rank() == axis_from_back + 1;
    }
    if (!IsElementwise(*node) && !node->Is("MaxPool")) return false;
    value = node->inputs[0];
  }
  return false;
}

bool Lowering::LowerTable(const QuantizedEnd& end) {
  const Node& q = graph_.nodes[end.node];
  TableSearch search(graph_, *uses_, [&](const std::string& v) { return CodesOf(v); });
  // from the value before QuantizeLinear itself: Relu and Clip are elementwise too
  if (!search.Visit(q.inputs[0]) || !search.Narrow()) return false;
  const CodeValue x = search.leaf().codes;
  if (search.channels() > 1 && !HasChannels(x.value, search.channels(), search.axis_from_back()))
    return false;
  const Tensor table = TableOf(graph_, search, q);
  if (x.dtype == end.y.dtype && IsIdentity(table)) {
    Node same = Make("Identity", q, {x.value}, end.y.value);
    same.domain = "";
    Emit(std::move(same));
    return true;
  }
  const Node* named = Producer(q.inputs[0]);
  Node made = Make("QLut", named ? *named : q, {x.value}, end.y.value);
  made.attributes["table"] = table;
  made.attributes["y_type"] = std::string(Name(end.y.dtype));
  Emit(std::move(made));
  return true;
}

}  // namespace mezzo
