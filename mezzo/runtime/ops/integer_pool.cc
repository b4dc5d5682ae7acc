// mezzo:QAveragePool, mezzo:QGlobalAveragePool and mezzo:QMaxPool (lower.h), channels last.
#include "mezzo/kernels/qpool/qpool.h"
#include "mezzo/runtime/ops/integer.h"

namespace mezzo {
namespace {

QAverageParams ParamsOf(const Node& node) {
  const bool is_signed = OutputType(node) == DType::kInt8;
  const auto code = [&](const char* name, int fallback) {
    return static_cast<int32_t>(node.Int(name, fallback));
  };
  return {node.Float("x_scale", 1) / node.Float("y_scale", 1), code("x_zero_point", 0),
          code("y_zero_point", 0), code("lo", is_signed ? -128 : 0),
          code("hi", is_signed ? 127 : 255)};
}

QPoolArgs ArgsOf(const Node& node, const WindowGeometry& g, const Tensor& x, Tensor& y) {
  return {g.shape,      CodesOf(x), y.raw(), node.Int("count_include_pad", 0) != 0,
          g.pad_bottom, g.pad_right};
}

void Average(OpContext& ctx, const Tensor& x, const QPoolArgs& args) {
  const QAverageParams params = ParamsOf(ctx.node);
  if (ctx.kernels == KernelSet::kReference)
    QAveragePoolRef(args, params);
  else
    QAveragePool(args, params, ctx.threads);
}

void AveragePool(OpContext& ctx) {
  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  const WindowGeometry g = GeometryOf(ctx.node, x.shape(), ctx.node.Ints("kernel_shape"));
  Tensor y(OutputType(ctx.node), g.OutShape(x.rank()), Layout::kChannelsLast);
  Average(ctx, x, ArgsOf(ctx.node, g, x, y));
  ctx.out[0] = std::move(y);
}

// Over all spatial dimensions; keepdims 0 drops them.
void GlobalAveragePool(OpContext& ctx) {
  Require(ctx.in[0].rank() >= 3, "got shape ", ToString(ctx.in[0].shape()), ", needs (N, C, ...)");
  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  QPoolArgs args;
  args.shape.batch = static_cast<size_t>(x.dim(0));
  args.shape.in_c = args.shape.out_c = static_cast<size_t>(x.dim(1));
  args.shape.in_w = args.shape.kernel_w =
      static_cast<size_t>(x.numel() / std::max<int64_t>(x.dim(0) * x.dim(1), 1));
  Shape out{x.dim(0), x.dim(1)};
  if (ctx.node.Int("keepdims", 1)) out.resize(x.rank(), 1);
  // with spatial dimensions of 1, or none, both layouts are the same
  Tensor y(OutputType(ctx.node), out);
  args.x = CodesOf(x);
  args.y = y.raw();
  Average(ctx, x, args);
  ctx.out[0] = std::move(y);
}

void MaxPool(OpContext& ctx) {
  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  const WindowGeometry g = GeometryOf(ctx.node, x.shape(), ctx.node.Ints("kernel_shape"));
  Tensor y(x.dtype(), g.OutShape(x.rank()), Layout::kChannelsLast);
  const QPoolArgs args = ArgsOf(ctx.node, g, x, y);
  ctx.kernels == KernelSet::kReference ? QMaxPoolRef(args) : QMaxPool(args, ctx.threads);
  ctx.out[0] = std::move(y);
}

}  // namespace

void AddIntegerPool(OpTable& table) {
  table.Add("mezzo:QAveragePool", &AveragePool, true);
  table.Add("mezzo:QGlobalAveragePool", &GlobalAveragePool, true);
  table.Add("mezzo:QMaxPool", &MaxPool, true);
}

}  // namespace mezzo
