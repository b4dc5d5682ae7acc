#include "mezzo/runtime/ops/integer.h"

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {

QCodes CodesOf(const Tensor& t) {
  Require(t.dtype() == DType::kUInt8 || t.dtype() == DType::kInt8, "got ", Name(t.dtype()),
          ", needs uint8 or int8 codes");
  return {t.raw(), t.dtype() == DType::kInt8};
}

std::vector<int32_t> ZeroPointsOf(const Tensor& t) {
  if (!t.defined()) return {};
  const Tensor ints = Cast(t, DType::kInt32);
  return {ints.span<int32_t>().begin(), ints.span<int32_t>().end()};
}

int32_t ZeroPointOf(const Tensor& t) {
  const std::vector<int32_t> zeros = ZeroPointsOf(t);
  Require(zeros.size() <= 1, "zero point has ", zeros.size(), " values, needs one");
  return zeros.empty() ? 0 : zeros[0];
}

std::vector<float> ScalesOf(const Tensor& t) {
  const Tensor floats = Cast(t, DType::kFloat32);
  return {floats.span<float>().begin(), floats.span<float>().end()};
}

WindowGeometry GeometryOf(const Node& node, const Shape& x, std::vector<int64_t> kernel) {
  Require(x.size() == 3 || x.size() == 4, "got shape ", ToString(x),
          ", needs (N, C, L) or (N, C, H, W)");
  const Window w = ReadWindow(node, x, kernel);
  const auto at = [](const Dims3& dims, size_t i) {
    Require(dims[i] >= 0, "negative padding is not supported here");
    return static_cast<size_t>(dims[i]);
  };
  WindowGeometry g;
  QConvShape& s = g.shape;
  s.batch = static_cast<size_t>(x[0]);
  s.in_c = s.out_c = static_cast<size_t>(x[1]);
  s.in_h = at(w.in, 1), s.in_w = at(w.in, 2);
  s.out_h = at(w.out, 1), s.out_w = at(w.out, 2);
  s.kernel_h = at(w.kernel, 1), s.kernel_w = at(w.kernel, 2);
  s.stride_h = at(w.stride, 1), s.stride_w = at(w.stride, 2);
  s.dilation_h = at(w.dilation, 1), s.dilation_w = at(w.dilation, 2);
  s.pad_top = at(w.pad, 1), s.pad_left = at(w.pad, 2);
  g.pad_bottom = at(w.pad_end, 1), g.pad_right = at(w.pad_end, 2);
  return g;
}

Shape WindowGeometry::OutShape(size_t rank) const {
  Shape out{static_cast<int64_t>(shape.batch), static_cast<int64_t>(shape.out_c)};
  if (rank == 4) out.push_back(static_cast<int64_t>(shape.out_h));
  out.push_back(static_cast<int64_t>(shape.out_w));
  return out;
}

DType TypeOf(QOutput::Kind kind) {
  switch (kind) {
    case QOutput::Kind::kUInt8:
      return DType::kUInt8;
    case QOutput::Kind::kInt8:
      return DType::kInt8;
    case QOutput::Kind::kFloat:
      return DType::kFloat32;
    case QOutput::Kind::kInt32:
      return DType::kInt32;
  }
  return DType::kNone;
}

DType OutputType(const Node& node, const std::string& prefix) {
  const std::string name = node.String(prefix + "y_type", "uint8");
  for (const DType t : {DType::kUInt8, DType::kInt8, DType::kFloat32})
    if (Name(t) == name) return t;
  throw UsageError(Cat("y_type is ", name, ", needs uint8, int8 or float32"));
}

QOutput OutputOf(const Node& node, size_t cols, const Tensor* bias) {
  const DType type = OutputType(node);
  const std::vector<float> scales = node.Floats("scales"), offsets = node.Floats("offsets");
  QOutputSpec spec;
  spec.kind = type == DType::kUInt8  ? QOutput::Kind::kUInt8
              : type == DType::kInt8 ? QOutput::Kind::kInt8
                                     : QOutput::Kind::kFloat;
  spec.scale = scales;
  spec.offset = offsets;
  if (bias) spec.bias = bias->span<int32_t>();
  spec.zero_point = static_cast<int32_t>(node.Int("y_zero_point", 0));
  spec.lo = static_cast<int32_t>(node.Int("lo", -128));
  spec.hi = static_cast<int32_t>(node.Int("hi", 255));
  return MakeQOutput(spec, cols);
}

QOutput QLinearOutput(float x_scale, std::span<const float> w_scale, float y_scale,
                      const Tensor& y_zero, std::span<const int32_t> bias, size_t cols) {
  std::vector<float> scale;
  for (const float w : w_scale) scale.push_back(x_scale * w / y_scale);
  QOutputSpec spec{y_zero.dtype() == DType::kInt8 ? QOutput::Kind::kInt8 : QOutput::Kind::kUInt8,
                   scale,
                   bias,
                   {},
                   ZeroPointOf(y_zero)};
  return MakeQOutput(spec, cols);
}

void RunQConv(const OpContext& ctx, const QConvArgs& args, const QConvWeights& w,
              const QOutput& out) {
  ctx.kernels == KernelSet::kReference ? QConvRef(args, w, out) : QConv(args, w, out, ctx.threads);
}

void AddInteger(OpTable& table) {
  AddIntegerConv(table);
  AddIntegerAttention(table);
  AddIntegerMatMul(table);
  AddIntegerElementwise(table);
  AddIntegerPool(table);
}

}  // namespace mezzo
