#include "mezzo/algorithm/pack_weights.h"

#include <algorithm>
#include <array>
#include <unordered_set>

#include "mezzo/algorithm/tables.h"
#include "mezzo/import/onnx_writer.h"

namespace mezzo {
namespace {

// Bits of a code that are packed together, and how far up in the code they lie.
struct Field {
  int bits, shift;
  int64_t per_element() const { return 4 / bits; }  // of uint4
};

std::vector<Field> FieldsOf(int bits) {
  switch (bits) {
    case 3:
      return {{2, 1}, {1, 0}};
    case 5:
      return {{4, 1}, {1, 0}};
    case 6:
      return {{4, 2}, {2, 0}};
    default:
      return {{bits, 0}};
  }
}

// The levels of every step one after the other, or those without groups.
std::vector<int8_t> AllLevels(const WeightFormat& format, bool grouped) {
  if (!grouped) return Levels(format);
  std::vector<int8_t> all;
  for (int step = 1; step <= kSteps; ++step) {
    const std::vector<int8_t> levels = Levels(format, step);
    all.insert(all.end(), levels.begin(), levels.end());
  }
  return all;
}

class Packer {
 public:
  Packer(const WeightRows& rows, const Tensor& weight, const WeightFormat& format,
         int64_t group_size, const std::vector<uint8_t>& steps, std::string prefix,
         std::string shared, std::string output)
      : rows_(rows),
        weight_(weight),
        format_(format),
        size_(group_size),
        steps_(steps),
        prefix_(std::move(prefix)),
        shared_(std::move(shared)),
        output_(std::move(output)),
        levels_(AllLevels(format, size_ > 0)),
        fields_(FieldsOf(format.bits)),
        per_row_(fields_.back().per_element()) {}

  PackedWeight Run() {
    const int64_t n = weight_.numel();
    codes_.assign((n + per_row_ - 1) / per_row_ * per_row_, 0);
    FindCodes();
    if (size_ > 0)
      Grouped();
    else
      Ungrouped();
    made_.nodes.back().outputs = {output_};
    return std::move(made_);
  }

 private:
  int64_t Group(int64_t k) const { return k / size_; }
  int64_t Groups() const { return rows_.depth / size_; }

  void FindCodes() {
    const int count = 1 << format_.bits;
    std::vector<std::array<int, 2 * kLargestLevel + 1>> code(levels_.size() / count);
    for (auto& of_step : code) of_step.fill(-1);
    for (size_t i = levels_.size(); i-- > 0;)  // the first of equal ones
      code[i / count][levels_[i] + kLargestLevel] = static_cast<int>(i) % count;
    for (int64_t o = 0; o < rows_.channels; ++o)
      for (int64_t k = 0; k < rows_.depth; ++k) {
        const int64_t at = rows_.At(o, k);
        const size_t step = size_ ? steps_[o * Groups() + Group(k)] - 1 : 0;
        const int w8 = weight_.data<int8_t>()[at];
        const int found = std::abs(w8) > kLargestLevel ? -1 : code[step][w8 + kLargestLevel];
        Require(found >= 0, "weight ", output_, ": ", w8, " is no level of ", format_.name,
                size_ ? Cat(" at step ", step + 1) : "");
        codes_[at] = static_cast<uint8_t>(found);
      }
  }

  void Ungrouped() {
    if (format_.name == "int4") {
      Add("Cast", {Own(Narrow4(weight_))}, {{"to", static_cast<int64_t>(DType::kInt8)}});
    } else if (fields_.size() == 1) {  // the table gives levels at once
      const std::string fields = Cast32(Own(FieldTensor(fields_[0], weight_.shape())));
      const int64_t per = fields_[0].per_element();
      Tensor table(DType::kInt8, per > 1 ? Shape{16, per} : Shape{16});
      for (int64_t i = 0; i < 16 * per; ++i)
        table.data<int8_t>()[i] = levels_[FieldOf(static_cast<int>(i / per), i % per, fields_[0])];
      const std::string w8 = Add("Gather", {Shared(std::string(format_.name), table), fields});
      if (per > 1) Reshape(w8, weight_.shape());
    } else {
      Reshape(Add("Gather", {LevelTable(), Codes({})}), weight_.shape());
    }
  }

  void Grouped() {
    Shape view, steps;
    if (rows_.row_major) {
      view = {rows_.channels, rows_.inputs / size_, size_};
      if (rows_.taps > 1) view.push_back(rows_.taps);
    } else {
      view = {rows_.inputs / size_, size_, rows_.channels};
    }
    std::string code = Codes(view);
    if (format_.bits != 4) code = Reshape(code, view);
    steps = view;
    steps[rows_.row_major ? 2 : 1] = 1;
    const Tensor factor = Tensor::Scalar(int32_t{1 << format_.bits});
    const std::string step =
        Add("Mul", {Cast32(Own(StepTensor(steps))), Shared(Cat("s", format_.bits), factor)});
    Reshape(Add("Gather", {LevelTable(), Add("Add", {code, step})}), weight_.shape());
  }

  // The int32 codes; of 4 bits in the shape of `view`.
  std::string Codes(const Shape& view) {
    std::string sum;
    for (const Field& f : fields_) {
      std::string value = Cast32(Own(FieldTensor(f, view)));
      if (f.bits < 4 || f.shift > 0) value = Add("Gather", {FieldTable(f), value});
      sum = sum.empty() ? value : Add("Add", {sum, value});
    }
    return sum;
  }

  // Bits of the i-th code in a uint4 that holds fields, as they lie in the code.
  static int FieldOf(int element, int64_t i, const Field& f) {
    return (element >> i * f.bits & ((1 << f.bits) - 1)) << f.shift;
  }

  // A row of the tables of all fields makes per_row_ codes. A field with fewer codes an element has
  // an axis more before the table, one with more an axis more in it.
  std::string FieldTable(const Field& f) {
    const int64_t per = f.per_element(), least = fields_[0].per_element();
    Shape shape{16};
    if (fields_.size() > 1 && per > least) shape.push_back(per / least);
    if (least > 1) shape.push_back(least);
    Tensor table(DType::kInt32, shape);
    for (int64_t i = 0; i < table.numel(); ++i)
      table.data<int32_t>()[i] = FieldOf(static_cast<int>(i / per), i % per, f);
    return Shared(Cat("f", format_.bits, f.bits), table);
  }

  // `whole` is the shape of fields that have an element each.
  Tensor FieldTensor(const Field& f, const Shape& whole) const {
    const int64_t per = f.per_element(), count = static_cast<int64_t>(codes_.size()) / per;
    Tensor t = Tensor::Zeros(DType::kUInt8, {count});
    for (int64_t i = 0; i < static_cast<int64_t>(codes_.size()); ++i)
      t.data<uint8_t>()[i / per] =
          static_cast<uint8_t>(t.data<uint8_t>()[i / per] |
                               (codes_[i] >> f.shift & ((1 << f.bits) - 1)) << i % per * f.bits);
    if (fields_.size() == 1) return Narrow4(per > 1 ? t : t.Reshape(whole));
    return Narrow4(per < per_row_ ? t.Reshape({count * per / per_row_, per_row_ / per}) : t);
  }

  Tensor StepTensor(const Shape& shape) const {
    Tensor t(DType::kUInt8, shape);
    const int64_t blocks = rows_.inputs / size_;  // group = tap * blocks + block
    for (int64_t o = 0; o < rows_.channels; ++o)
      for (int64_t g = 0; g < Groups(); ++g) {
        const int64_t block = g % blocks, tap = g / blocks;
        const int64_t at =
            rows_.row_major ? (o * blocks + block) * rows_.taps + tap : block * rows_.channels + o;
        t.data<uint8_t>()[at] = static_cast<uint8_t>(steps_[o * Groups() + g] - 1);
      }
    return Narrow4(t);
  }

  std::string LevelTable() {
    return Shared(Cat(format_.name, size_ ? "g" : ""), Tensor::Vector(levels_));
  }

  std::string Cast32(const std::string& x) {
    return Add("Cast", {x}, {{"to", static_cast<int64_t>(DType::kInt32)}});
  }

  // Drops what was added to fill the last row, too.
  std::string Reshape(std::string x, const Shape& shape) {
    const int64_t n = weight_.numel();
    const auto ints = [](const Shape& values) { return Tensor::Vector<int64_t>(values); };
    if (static_cast<int64_t>(codes_.size()) > n) {
      x = Add("Reshape", {x, Shared("flat", ints({-1}))});
      x = Add("Slice", {x, Shared("zero", ints({0})), Own(ints({n}))});
    }
    return Add("Reshape", {x, Own(ints(shape))});
  }

  std::string Add(const std::string& op, std::vector<std::string> inputs,
                  std::map<std::string, Attribute> attributes = {}) {
    made_.nodes.push_back({op, "", "", std::move(inputs), {Next()}, std::move(attributes)});
    return made_.nodes.back().outputs[0];
  }
  std::string Own(Tensor t) {
    const std::string name = Next();
    made_.own[name] = std::move(t);
    return name;
  }
  std::string Shared(const std::string& what, Tensor t) {
    made_.shared[shared_ + what] = std::move(t);
    return shared_ + what;
  }
  std::string Next() { return prefix_ + static_cast<char>('a' + names_++); }

  const WeightRows& rows_;
  const Tensor& weight_;
  const WeightFormat& format_;
  const int64_t size_;
  const std::vector<uint8_t>& steps_;
  const std::string prefix_, shared_, output_;
  const std::vector<int8_t> levels_;
  const std::vector<Field> fields_;
  const int64_t per_row_;       // codes that an element of the narrowest field holds
  std::vector<uint8_t> codes_;  // in the order of the weight's elements, and zeros to fill a row
  PackedWeight made_;
  int names_ = 0;
};

// What the names of packed weights begin with, so that no other name does.
std::string UnusedPrefix(const Graph& graph) {
  std::unordered_set<std::string> names;
  for (const auto& [name, t] : graph.initializers) names.insert(name);
  for (const Node& node : graph.nodes) names.insert(node.outputs.begin(), node.outputs.end());
  for (const ValueInfo& in : graph.inputs) names.insert(in.name);
  const auto used = [&](const std::string& prefix) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return name.starts_with(prefix); });
  };
  for (char letter = 'z'; letter >= 'a'; --letter)
    if (!used({letter})) return {letter};
  std::string prefix = "packed";
  while (used(prefix)) prefix += "_";
  return prefix;
}

// Where the int8 weights of a layer, or the codes of a table, are in a graph that ApplyPlan made.
struct StoredWeight {
  Node node;
  std::string codes;   // initializer
  std::string prefix;  // of the names of what stands for it
};

// The graph must not have been packed, but for other layers.
StoredWeight FindWeight(const Graph& graph, const Plan& plan, const std::string& layer,
                        const std::string& prefix) {
  StoredWeight found;
  size_t number = 0;
  if (const auto table = plan.tables.find(layer); table != plan.tables.end()) {
    found.node = {"Gemm", "", layer, {}, {}, {{"transB", int64_t{1}}}};  // rows are channels
    found.codes = TableCodes(graph, layer);
    number = plan.nodes.size() + std::distance(plan.tables.begin(), table);
  } else {
    const auto node = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                   [&](const Node& n) { return n.name == layer; });
    Require(node != graph.nodes.end() && node->HasInput(1), "plan: the model has no node ", layer);
    found.node = *node;
    for (const Node& n : graph.nodes)
      if (n.Is("DequantizeLinear") && n.outputs[0] == node->inputs[1]) found.codes = n.inputs[0];
    number = std::distance(plan.nodes.begin(), plan.nodes.find(layer));
  }
  const Tensor* codes = graph.Initializer(found.codes);
  Require(codes && codes->dtype() == DType::kInt8, "plan: ", layer, " has no int8 weights");
  found.prefix = Cat(prefix, number);
  return found;
}

// A weight of any codes: what is stored takes as many bytes for all.
PackedWeight PackAny(const StoredWeight& stored, const Tensor& weight, const WeightFormat& format,
                     int64_t group_size, const std::string& shared_prefix) {
  const WeightRows rows(stored.node, weight);
  Tensor any(DType::kInt8, weight.shape());
  const int8_t level = group_size ? Levels(format, kSteps)[0] : Levels(format)[0];
  std::fill_n(any.data<int8_t>(), any.numel(), level);
  const int64_t groups = group_size ? rows.depth / group_size : 0;
  return PackWeight(rows, any, format, group_size,
                    std::vector<uint8_t>(rows.channels * groups, kSteps), stored.prefix,
                    shared_prefix, stored.codes);
}

int64_t AddedBytes(std::vector<Node> nodes, std::map<std::string, Tensor> initializers) {
  Graph graph;
  graph.nodes = std::move(nodes);
  graph.initializers = std::move(initializers);
  return static_cast<int64_t>(OnnxBytes(graph)) - static_cast<int64_t>(OnnxBytes(Graph()));
}

}  // namespace

PackedWeight PackWeight(const WeightRows& rows, const Tensor& weight, const WeightFormat& format,
                        int64_t group_size, const std::vector<uint8_t>& steps,
                        const std::string& prefix, const std::string& shared_prefix,
                        const std::string& output) {
  return Packer(rows, weight, format, group_size, steps, prefix, shared_prefix, output).Run();
}

void PackWeights(Model& qdq, const Plan& plan) {
  Graph& graph = qdq.graph;
  const std::string prefix = UnusedPrefix(graph);
  std::vector<Node> added;
  const auto pack = [&](const std::string& layer, const std::string& name, int64_t group_size,
                        const std::vector<uint8_t>& steps) {
    const WeightFormat* format = FindWeightFormat(name);
    Require(format, "plan: ", layer, ": there is no weight format ", name);
    if (!format->narrow()) return;
    const StoredWeight stored = FindWeight(graph, plan, layer, prefix);
    const Tensor weight = graph.initializers.at(stored.codes);
    const WeightRows rows(stored.node, weight);
    PackedWeight packed =
        PackWeight(rows, weight, *format, group_size, steps, stored.prefix, prefix, stored.codes);
    graph.initializers.erase(stored.codes);
    graph.initializers.merge(packed.own);
    graph.initializers.merge(packed.shared);
    std::move(packed.nodes.begin(), packed.nodes.end(), std::back_inserter(added));
  };
  for (const auto& [layer, p] : plan.nodes)
    if (p.quantized) pack(layer, p.weight_format, p.group_size, p.weight_steps);
  for (const auto& [table, format] : plan.tables) pack(table, format, 0, {});
  graph.nodes.insert(graph.nodes.begin(), added.begin(), added.end());
}

PackedBytes BytesOfPacked(const Model& qdq, const Plan& plan, const std::string& layer,
                          const WeightFormat& format, int64_t group_size) {
  if (!format.narrow()) return {};
  const std::string prefix = UnusedPrefix(qdq.graph);
  const StoredWeight stored = FindWeight(qdq.graph, plan, layer, prefix);
  const Tensor& weight = qdq.graph.initializers.at(stored.codes);
  const PackedWeight packed = PackAny(stored, weight, format, group_size, prefix);
  PackedBytes bytes;
  bytes.own = AddedBytes(packed.nodes, packed.own) - AddedBytes({}, {{stored.codes, weight}});
  for (const auto& [name, t] : packed.shared) bytes.shared[name] = AddedBytes({}, {{name, t}});
  return bytes;
}

}  // namespace mezzo
