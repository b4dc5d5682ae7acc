// Add, Sub, Mul, Concat and averages over codes.
#include <algorithm>

#include "mezzo/format/affine_int.h"
#include "mezzo/runtime/lowering.h"

namespace mezzo {
namespace {

// The table that moves codes from one grid to another, as DequantizeLinear and QuantizeLinear
// would.
Tensor RequantizeTable(const CodeValue& from, const QuantizedEnd& end) {
  const IntFormat format{8, end.y.dtype == DType::kInt8, false};
  Tensor table(DType::kUInt8, {256});
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t code = from.dtype == DType::kInt8 ? static_cast<int8_t>(byte) : byte;
    const float value = Dequantize({from.scale, from.zero_point}, code);
    const int32_t y = Quantize(format, {end.y.scale, end.y.zero_point}, value);
    table.data<uint8_t>()[byte] = static_cast<uint8_t>(std::clamp(y, end.lo, end.hi));
  }
  return table;
}

}  // namespace

bool Lowering::LowerBinary(const Node& node, const QuantizedEnd& end) {
  std::optional<CodeValue> in[2];
  for (size_t i = 0; i < 2; ++i) {
    in[i] = CodesOf(node.inputs[i]);
    if (!in[i]) return Refuse(node, Cat("input ", i, " is not quantized"));
  }
  Node made =
      Make(node.Is("Mul") ? "QMul" : "QAdd", node, {in[0]->value, in[1]->value}, end.y.value);
  made.attributes["a_scale"] = in[0]->scale;
  made.attributes["b_scale"] = node.Is("Sub") ? -in[1]->scale : in[1]->scale;
  made.attributes["y_scale"] = end.y.scale;
  made.attributes["a_zero_point"] = int64_t{in[0]->zero_point};
  made.attributes["b_zero_point"] = int64_t{in[1]->zero_point};
  SetOutput(made, end);
  Emit(std::move(made));
  return true;
}

bool Lowering::LowerConcat(const Node& node, const QuantizedEnd& end) {
  std::vector<CodeValue> in;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const std::optional<CodeValue> x = CodesOf(node.inputs[i]);
    if (!x) return Refuse(node, Cat("input ", i, " is not quantized"));
    in.push_back(*x);
  }
  Node made = Make("Concat", node, {}, end.y.value);
  made.domain = "";
  made.attributes = node.attributes;
  for (size_t i = 0; i < in.size(); ++i) {
    const CodeValue& x = in[i];
    if (x.SameGrid(end.y) && !end.narrowed()) {
      made.inputs.push_back(x.value);
      continue;
    }
    Node lut = Make("QLut", node, {x.value}, Fresh(x.value + "/requantized"));
    lut.name = Fresh(node.name + "/requantize");
    lut.attributes["table"] = RequantizeTable(x, end);
    lut.attributes["y_type"] = std::string(Name(end.y.dtype));
    made.inputs.push_back(lut.outputs[0]);
    float_of_[lut.outputs[0]] = node.inputs[i];
    Emit(std::move(lut));
  }
  Emit(std::move(made));
  return true;
}

bool Lowering::LowerAverage(const Node& node, const QuantizedEnd& end) {
  const std::optional<CodeValue> x = CodesOf(node.inputs[0]);
  if (!x) return Refuse(node, "input 0 is not quantized");
  Node made = Make(node.Is("AveragePool") ? "QAveragePool" : "QGlobalAveragePool", node, {x->value},
                   end.y.value);
  if (node.Is("AveragePool")) {
    const size_t rank = node.Ints("kernel_shape").size();
    if (rank > 2) return Refuse(node, Cat("pooling in ", rank, " dimensions"));
    made.attributes = node.attributes;
  } else if (node.Is("ReduceMean")) {
    const Tensor* axes = node.HasInput(1) ? graph_.Initializer(node.inputs[1]) : nullptr;
    std::vector<int64_t> values = axes ? ToInts(*axes) : std::vector<int64_t>{};
    std::ranges::sort(values);
    // counted from the front, so that the tensor is known to be (N, C, H, W)
    if (values != std::vector<int64_t>{2, 3})
      return Refuse(node, "not an average over the axes 2 and 3");
    made.attributes["keepdims"] = node.Int("keepdims", 1);
  }
  made.attributes["x_scale"] = x->scale;
  made.attributes["y_scale"] = end.y.scale;
  made.attributes["x_zero_point"] = int64_t{x->zero_point};
  SetOutput(made, end);
  Emit(std::move(made));
  return true;
}

}  // namespace mezzo
