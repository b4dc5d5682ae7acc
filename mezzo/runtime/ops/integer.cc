#include "mezzo/runtime/ops/integer.h"

#include <algorithm>

#include "mezzo/runtime/ops/families.h"

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

namespace {

// One spatial axis of a window operator.
struct Axis {
  size_t in, kernel, stride, dilation, pad_before, pad_after, out;
};

size_t Positive(int64_t value, const char* what) {
  Require(value > 0, what, " is ", value);
  return static_cast<size_t>(value);
}

Axis AxisOf(const Node& node, int64_t in, int64_t kernel, size_t i, size_t spatial) {
  const auto at = [&](const char* name, int64_t fallback, size_t k) {
    const std::vector<int64_t> values = node.Ints(name);
    Require(values.empty() || values.size() > k, "attribute ", name, " has ", values.size(),
            " values");
    return values.empty() ? fallback : values[k];
  };
  Axis a{static_cast<size_t>(in),
         Positive(kernel, "kernel"),
         Positive(at("strides", 1, i), "stride"),
         Positive(at("dilations", 1, i), "dilation"),
         0,
         0,
         0};
  const size_t reach = (a.kernel - 1) * a.dilation + 1;
  const std::string mode = node.String("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    a.out = (a.in + a.stride - 1) / a.stride;
    const size_t covered = (a.out - 1) * a.stride + reach;
    const size_t total = covered > a.in ? covered - a.in : 0;
    a.pad_before = mode == "SAME_UPPER" ? total / 2 : total - total / 2;
    a.pad_after = total - a.pad_before;
    return a;
  }
  if (mode != "VALID") {
    const int64_t before = at("pads", 0, i), after = at("pads", 0, i + spatial);
    Require(before >= 0 && after >= 0, "negative padding is not supported here");
    a.pad_before = static_cast<size_t>(before);
    a.pad_after = static_cast<size_t>(after);
  }
  const size_t padded = a.in + a.pad_before + a.pad_after;
  Require(padded >= reach, "window of ", reach, " does not fit into ", padded);
  const bool ceil = node.Int("ceil_mode", 0) != 0;
  a.out = (padded - reach + (ceil ? a.stride - 1 : 0)) / a.stride + 1;
  // a window must begin inside the image or the padding before it
  if (ceil && (a.out - 1) * a.stride >= a.in + a.pad_before) --a.out;
  return a;
}

}  // namespace

WindowGeometry GeometryOf(const Node& node, const Shape& x, std::vector<int64_t> kernel) {
  const size_t spatial = x.size() - 2;
  Require(x.size() == 3 || x.size() == 4, "got shape ", ToString(x),
          ", needs (N, C, L) or (N, C, H, W)");
  Require(kernel.size() == spatial, "kernel has ", kernel.size(), " dimensions, needs ", spatial);
  Axis h{1, 1, 1, 1, 0, 0, 1};
  if (spatial == 2) h = AxisOf(node, x[2], kernel[0], 0, 2);
  const Axis w = AxisOf(node, x.back(), kernel.back(), spatial - 1, spatial);
  WindowGeometry g;
  QConvShape& s = g.shape;
  s.batch = static_cast<size_t>(x[0]);
  s.in_c = s.out_c = static_cast<size_t>(x[1]);
  s.in_h = h.in, s.kernel_h = h.kernel, s.stride_h = h.stride, s.dilation_h = h.dilation;
  s.in_w = w.in, s.kernel_w = w.kernel, s.stride_w = w.stride, s.dilation_w = w.dilation;
  s.pad_top = h.pad_before, s.out_h = h.out;
  s.pad_left = w.pad_before, s.out_w = w.out;
  g.pad_bottom = h.pad_after, g.pad_right = w.pad_after;
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

DType OutputType(const Node& node) {
  const std::string name = node.String("y_type", "uint8");
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

void RunQGemm(const OpContext& ctx, const QGemmArgs& args, const QWeights& w, const QOutput& out,
              const Threads& threads) {
  ctx.kernels == KernelSet::kReference ? QGemmRef(args, w, out) : QGemm(args, w, out, threads);
}

void AddInteger(OpTable& table) {
  AddIntegerConv(table);
  AddIntegerMatMul(table);
  AddIntegerElementwise(table);
  AddIntegerPool(table);
}

}  // namespace mezzo
