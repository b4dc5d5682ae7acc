#include "mezzo/runtime/shape_values.h"

#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <string>

namespace mezzo {
namespace {

constexpr size_t kNone = std::numeric_limits<size_t>::max();

// The first input whose values the outputs' shape depends on; no entry if that is not known, or if
// the values do not follow from the inputs.
const std::map<std::string, size_t>& ShapeOperands() {
  static const std::map<std::string, size_t> operands = [] {
    std::map<std::string, size_t> m{
        {"Reshape", 1}, {"Expand", 1},    {"Slice", 1},           {"Tile", 1},  {"Pad", 1},
        {"Squeeze", 1}, {"Unsqueeze", 1}, {"ConstantOfShape", 0}, {"Range", 0}, {"TopK", 1},
        {"OneHot", 1},  {"Split", 1},     {"Resize", 1}};
    for (const char* reduce : {"Max", "Mean", "Min", "Prod", "Sum", "SumSquare", "L1", "L2"})
      m[std::string("Reduce") + reduce] = 1;
    std::istringstream of_shapes(
        "Shape Size Identity Cast Gather GatherElements Concat Transpose Flatten Where Equal "
        "Less LessOrEqual Greater GreaterOrEqual And Or Not Add Sub Mul Div Mod Pow Min Max Neg "
        "Abs Sqrt Exp Log Erf Tanh Sigmoid Relu LeakyRelu Clip HardSigmoid HardSwish Gelu Floor "
        "Ceil Sin Cos Trilu CumSum Softmax LayerNormalization BatchNormalization MatMul Gemm "
        "Conv MaxPool AveragePool GlobalAveragePool QuantizeLinear DequantizeLinear");
    for (std::string op; of_shapes >> op;) m[op] = kNone;
    for (const char* ours :
         {"Function", "Softmax", "Attention", "AddNormalize", "QAdd", "QMul", "QConv", "QMatMul",
          "QLut", "QMaxPool", "QAveragePool", "QGlobalAveragePool", "QuantizeRows"})
      m[std::string("mezzo:") + ours] = kNone;
    return m;
  }();
  return operands;
}

}  // namespace

std::vector<char> FollowFromShapes(const Graph& graph) {
  std::set<std::string> shapes, values;  // of which the shape, and the values, follow
  for (const auto& [name, tensor] : graph.initializers) shapes.insert(name), values.insert(name);
  for (const ValueInfo& in : graph.inputs) shapes.insert(in.name);
  std::vector<char> follow;
  for (const Node& node : graph.nodes) {
    const auto known =
        ShapeOperands().find(node.domain.empty() ? node.op_type : node.domain + ":" + node.op_type);
    bool shape = known != ShapeOperands().end(), value = shape;
    for (size_t i = 0; i < node.inputs.size() && shape; ++i) {
      const std::string& in = node.inputs[i];
      if (in.empty()) continue;
      const bool same = values.contains(in);
      shape = shapes.contains(in) && (same || i < known->second);
      value = value && same;
    }
    value = shape && (value || node.Is("Shape") || node.Is("Size"));
    for (const std::string& out : node.outputs) {
      if (shape) shapes.insert(out);
      if (value) values.insert(out);
    }
    follow.push_back(value);
  }
  return follow;
}

}  // namespace mezzo
