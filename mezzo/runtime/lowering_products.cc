// Conv, MatMul and Gemm over codes, with codes or floats as their result.
#include <algorithm>
#include <cmath>

#include "mezzo/runtime/lowering.h"

namespace mezzo {
namespace {

// The largest bias that leaves room for the sum of `depth` products of codes in an int32.
double BiasLimit(size_t depth) { return 2147483647.0 - 255.0 * 255.0 * static_cast<double>(depth); }

// Codes of a real bias in steps of `step`, or none if one is out of range or rounding to a step
// would show in the output's.
bool BiasCodes(const std::vector<double>& bias, const std::vector<double>& step, double limit,
               double y_scale, std::vector<int32_t>& codes) {
  for (size_t n = 0; n < bias.size(); ++n) {
    const double code = std::nearbyint(bias[n] / step[n]);
    if (!(std::abs(code) <= limit)) return false;
    if (y_scale > 0 && std::abs(code * step[n] - bias[n]) > y_scale / 32) return false;
    codes.push_back(static_cast<int32_t>(code));
  }
  return true;
}

std::vector<int64_t> Wide(const std::vector<int32_t>& v) { return {v.begin(), v.end()}; }

}  // namespace

// The real values of a constant bias: floats, or integers behind DequantizeLinear. Empty if it is
// neither, or has another length than `cols`.
std::vector<double> Lowering::BiasOf(const std::string& value, size_t cols) {
  std::vector<double> real;
  if (const Tensor* t = FloatConstant(value)) {
    real.assign(t->span<float>().begin(), t->span<float>().end());
  } else if (const Node* dq = Producer(value); dq && dq->Is("DequantizeLinear")) {
    const Tensor codes = Evaluate(dq->inputs[0]), scale = Evaluate(dq->inputs[1]);
    const Tensor zero = dq->HasInput(2) ? Evaluate(dq->inputs[2]) : Tensor();
    if (!codes.defined() || !scale.defined() || scale.dtype() != DType::kFloat32) return {};
    if (dq->HasInput(2) && !zero.defined()) return {};
    const Tensor ints = Cast(codes, DType::kInt32);
    const Tensor zeros = zero.defined() ? Cast(zero, DType::kInt32) : Tensor();
    for (int64_t n = 0; n < ints.numel(); ++n) {
      const int32_t z = zeros.defined() ? zeros.data<int32_t>()[zeros.numel() == 1 ? 0 : n] : 0;
      real.push_back(static_cast<double>(scale.data<float>()[scale.numel() == 1 ? 0 : n]) *
                     (static_cast<double>(ints.data<int32_t>()[n]) - z));
    }
  }
  if (real.size() == 1) real.assign(cols, real[0]);
  return real.size() == cols ? real : std::vector<double>{};
}

// Attributes and bias input of a product with `cols` columns: the output stage of lower.h.
// `w_scale` has one value or one per column.
bool Lowering::AddProductOutput(Node& made, const Node& source, const CodeValue& x,
                                const std::vector<float>& w_scale, const std::string& bias,
                                size_t cols, size_t depth, const QuantizedEnd* end) {
  std::vector<float> scales;
  for (const float s : w_scale) scales.push_back(end ? x.scale * s / end->y.scale : x.scale * s);
  for (const float s : scales)
    if (!std::isfinite(s)) return Refuse(source, Cat("its output scale would be ", s));
  made.attributes["scales"] = scales;
  if (end)
    SetOutput(made, *end);
  else
    made.attributes["y_type"] = std::string("float32");
  if (bias.empty()) return true;

  const std::vector<double> real = BiasOf(bias, cols);
  if (real.empty()) return Refuse(source, "its bias is not a constant with a value per channel");
  std::vector<double> step;
  for (size_t n = 0; n < cols; ++n)
    step.push_back(x.scale * w_scale[w_scale.size() == 1 ? 0 : n]);  // as files store it
  std::vector<int32_t> codes;
  if (BiasCodes(real, step, BiasLimit(depth), end ? end->y.scale : 0, codes)) {
    made.inputs.push_back(Fresh(source.name + "/bias"));
    graph_.initializers[made.inputs.back()] = Tensor::Vector(codes);
    return true;
  }
  std::vector<float> offsets;
  for (const double b : real) offsets.push_back(static_cast<float>(end ? b / end->y.scale : b));
  made.attributes["offsets"] = offsets;
  report_.notes.push_back(Cat("node ", source.name,
                              ": in steps of x_scale * w_scale its bias would ",
                              "overflow int32 or lose precision; it is added in float"));
  return true;
}

bool Lowering::LowerConv(const Node& node, const QuantizedEnd* end) {
  const std::optional<WeightCodes> w = WeightsOf(node.inputs[1]);
  if (!w) return Refuse(node, "input 1 is not quantized");
  if (w->codes.rank() != 3 && w->codes.rank() != 4)
    return Refuse(node, Cat("convolution in ", w->codes.rank() - 2, " dimensions"));
  if (w->scale.size() > 1 && w->axis != 0)
    return Refuse(node, "weight scales are not per output channel");
  const std::optional<CodeValue> x = CodesOf(node.inputs[0]);
  if (!x) return Refuse(node, "input 0 is not quantized");
  const std::string codes = Fresh(node.name + "/weights");
  Node made = Make("QConv", node, {x->value, codes}, end ? end->y.value : node.outputs[0]);
  made.attributes = node.attributes;
  made.attributes["x_zero_point"] = int64_t{x->zero_point};
  if (!w->zero_point.empty()) made.attributes["w_zero_points"] = Wide(w->zero_point);
  const auto out = static_cast<size_t>(w->codes.dim(0));
  if (!AddProductOutput(made, node, *x, w->scale, node.HasInput(2) ? node.inputs[2] : "", out,
                        static_cast<size_t>(w->codes.numel()) / std::max<size_t>(out, 1), end))
    return false;
  graph_.initializers[codes] = w->codes;
  Emit(std::move(made));
  return true;
}

// Constant b with scales per column, or two tensors of codes. `bias_add` adds a constant to each
// column of the product.
bool Lowering::LowerMatMul(const Node& node, const QuantizedEnd* end, const Node* bias_add) {
  const std::optional<CodeValue> a = CodesOf(node.inputs[0]);
  if (!a) return Refuse(node, "input 0 is not quantized");
  const std::string out = end ? end->y.value : node.outputs[0];
  std::string bias;
  if (bias_add) {
    bias = bias_add->inputs[bias_add->inputs[0] == node.outputs[0]];
    const Node* dq = Producer(bias);
    const Tensor values = Evaluate(dq && dq->Is("DequantizeLinear") ? dq->inputs[0] : bias);
    if (!values.defined() || values.rank() != 1) return false;
  }
  std::optional<WeightCodes> w = WeightsOf(node.inputs[1]);
  if (w && w->codes.rank() == 2) {
    if (w->scale.size() > 1 && w->axis != 1)
      return Refuse(node, "weight scales are not per output column");
    const std::string codes = Fresh(node.name + "/weights");
    Node made = Make("QMatMul", node, {a->value, codes}, out);
    made.attributes["a_zero_point"] = int64_t{a->zero_point};
    if (!w->zero_point.empty()) made.attributes["b_zero_points"] = Wide(w->zero_point);
    if (!AddProductOutput(made, node, *a, w->scale, bias, static_cast<size_t>(w->codes.dim(1)),
                          static_cast<size_t>(w->codes.dim(0)), end))
      return false;
    graph_.initializers[codes] = w->codes;
    Emit(std::move(made));
    return true;
  }
  const std::optional<CodeValue> b = CodesOf(node.inputs[1]);
  if (!b) return Refuse(node, "input 1 is not quantized");
  if (bias_add) return false;  // its length is not known to be the number of columns
  Node made = Make("QMatMul", node, {a->value, b->value}, out);
  made.attributes["a_zero_point"] = int64_t{a->zero_point};
  if (b->zero_point) made.attributes["b_zero_points"] = std::vector<int64_t>{b->zero_point};
  if (!AddProductOutput(made, node, *a, {b->scale}, "", 1, 1, end)) return false;
  Emit(std::move(made));
  return true;
}

bool Lowering::LowerGemm(const Node& node, const QuantizedEnd* end) {
  const std::optional<CodeValue> a = CodesOf(node.inputs[0]);
  if (!a) return Refuse(node, "input 0 is not quantized");
  const std::optional<WeightCodes> w = WeightsOf(node.inputs[1]);
  if (!w || w->codes.rank() != 2) return Refuse(node, "input 1 is not quantized");
  const bool transposed = node.Int("transB", 0) != 0;
  const size_t column_axis = transposed ? 0 : 1;
  if (node.Int("transA", 0) || node.Float("alpha", 1) != 1 || node.Float("beta", 1) != 1)
    return Refuse(node, "transA, alpha or beta");
  if (w->scale.size() > 1 && w->axis != column_axis)
    return Refuse(node, "weight scales are not per output column");
  const std::string codes = Fresh(node.name + "/weights");
  Node made = Make("QMatMul", node, {a->value, codes}, end ? end->y.value : node.outputs[0]);
  made.attributes["a_zero_point"] = int64_t{a->zero_point};
  if (!w->zero_point.empty()) made.attributes["b_zero_points"] = Wide(w->zero_point);
  if (transposed) made.attributes["transpose_b"] = int64_t{1};
  if (!AddProductOutput(made, node, *a, w->scale, node.HasInput(2) ? node.inputs[2] : "",
                        static_cast<size_t>(w->codes.dim(column_axis)),
                        static_cast<size_t>(w->codes.dim(1 - column_axis)), end))
    return false;
  graph_.initializers[codes] = w->codes;
  Emit(std::move(made));
  return true;
}

}  // namespace mezzo
