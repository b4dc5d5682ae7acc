// mezzo:QConv (lower.h), and ONNX's QLinearConv and ConvInteger. All compute channels-last.
#include "mezzo/runtime/ops/integer.h"

namespace mezzo {

WindowGeometry ConvGeometry(const Node& node, const Tensor& x, const Tensor& w) {
  Require(x.rank() >= 3 && w.rank() == x.rank(), "got shapes ", ToString(x.shape()), " and ",
          ToString(w.shape()), ", needs images and filters of the same rank");
  WindowGeometry g = GeometryOf(node, x.shape(), {w.shape().begin() + 2, w.shape().end()});
  const int64_t groups = node.Int("group", 1);
  Require(groups > 0 && x.dim(1) == w.dim(1) * groups && w.dim(0) % groups == 0, "got ", x.dim(1),
          " channels and filters ", ToString(w.shape()), " in ", groups, " groups");
  g.shape.groups = static_cast<size_t>(groups);
  g.shape.out_c = static_cast<size_t>(w.dim(0));
  return g;
}

namespace {

struct Prepared {
  QConvWeights weights;
  QOutput out;
};

void Run(OpContext& ctx, const WindowGeometry& g, int32_t x_zero, const Prepared& p,
         const QResidual* residual = nullptr) {
  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  const DType type = residual ? OutputType(ctx.node, "add_") : TypeOf(p.out.kind);
  Tensor y(type, g.OutShape(x.rank()), Layout::kChannelsLast);
  RunQConv(ctx, {g.shape, CodesOf(x), x_zero, y.raw(), residual}, p.weights, p.out);
  ctx.out[0] = std::move(y);
}

Tensor PlainInput(OpContext& ctx, size_t i) { return ctx.Has(i) ? ctx.Plain(i) : Tensor(); }

// What the filters alone say of the shape.
QConvShape FilterShape(const Node& node, const Tensor& w) {
  Require(w.rank() == 3 || w.rank() == 4, "got filters ", ToString(w.shape()),
          ", needs (O, C, L) or (O, C, H, W)");
  const auto at = [](int64_t v) { return static_cast<size_t>(v); };
  const std::vector<int64_t> dilations = node.Ints("dilations"), strides = node.Ints("strides");
  QConvShape s;
  s.groups = at(node.Int("group", 1));
  s.in_c = at(w.dim(1)) * s.groups, s.out_c = at(w.dim(0));
  s.kernel_w = at(w.shape().back());
  if (w.rank() == 4) s.kernel_h = at(w.dim(2));
  if (!dilations.empty()) s.dilation_h = at(dilations.front()), s.dilation_w = at(dilations.back());
  if (!strides.empty()) s.stride_h = at(strides.front()), s.stride_w = at(strides.back());
  return s;
}

Prepared& PreparedQConv(OpContext& ctx) {
  return ctx.state.Get<Prepared>([&] {
    const Tensor& w = ctx.Plain(1);
    const QConvShape shape = FilterShape(ctx.node, w);
    std::vector<int32_t> zeros;
    for (const int64_t z : ctx.node.Ints("w_zero_points")) zeros.push_back(static_cast<int32_t>(z));
    const Tensor bias = PlainInput(ctx, 2);
    return std::make_shared<Prepared>(
        Prepared{QConvWeights::Pack(CodesOf(w), shape, zeros),
                 OutputOf(ctx.node, shape.out_c, bias.defined() ? &bias : nullptr)});
  });
}

void PrepareQConv(OpContext& ctx) {
  if (ctx.Has(1) && ctx.Has(2) == ctx.node.HasInput(2)) PreparedQConv(ctx);
}

void QConvOp(OpContext& ctx) {
  const WindowGeometry g = ConvGeometry(ctx.node, ctx.in[0], ctx.Plain(1));
  const auto x_zero = static_cast<int32_t>(ctx.node.Int("x_zero_point", 0));
  const Prepared& p = PreparedQConv(ctx);
  if (!ctx.Has(3)) return Run(ctx, g, x_zero, p);
  const QBinaryParams params = BinaryParamsOf(ctx.node, false, "add_");
  const Tensor& other = ctx.in[3];
  if (other.shape() != g.OutShape(ctx.in[0].rank())) {  // broadcasts
    Run(ctx, g, x_zero, p);
    ctx.out[0] = RunQBinary(ctx, ctx.out[0], other, params, OutputType(ctx.node, "add_"));
    return;
  }
  const Tensor laid = other.ToLayout(Layout::kChannelsLast);
  const QResidual residual{params, p.out.kind == QOutput::Kind::kInt8, CodesOf(laid)};
  Run(ctx, g, x_zero, p, &residual);
}

// Prepared data may be kept only if all that it is made from is the same at every run.
template <class Make>
void RunPrepared(OpContext& ctx, const WindowGeometry& g, int32_t x_zero, Make&& make) {
  bool constant = true;
  for (size_t i = 1; i < ctx.in.size(); ++i) constant &= !ctx.Has(i) || ctx.constant[i];
  if (constant)
    Run(ctx, g, x_zero,
        ctx.state.Get<Prepared>([&] { return std::make_shared<Prepared>(make()); }));
  else
    Run(ctx, g, x_zero, make());
}

// x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, [bias]
void QLinearConv(OpContext& ctx) {
  Require(ctx.in.size() >= 8, "got ", ctx.in.size(), " inputs, needs 8 or 9");
  for (size_t i = 1; i < ctx.in.size(); ++i) PlainInput(ctx, i);
  const Tensor& w = ctx.in[3];
  const WindowGeometry g = ConvGeometry(ctx.node, ctx.in[0], w);
  RunPrepared(ctx, g, ZeroPointOf(ctx.in[2]), [&] {
    const std::vector<int32_t> zeros = ZeroPointsOf(ctx.in[5]);
    std::span<const int32_t> bias;
    if (ctx.Has(8)) bias = ctx.in[8].span<int32_t>();
    return Prepared{QConvWeights::Pack(CodesOf(w), g.shape, zeros),
                    QLinearOutput(ScalesOf(ctx.in[1]).at(0), ScalesOf(ctx.in[4]),
                                  ScalesOf(ctx.in[6]).at(0), ctx.in[7], bias, g.shape.out_c)};
  });
}

// x, w, [x_zero], [w_zero] to int32
void ConvInteger(OpContext& ctx) {
  const Tensor& w = ctx.Plain(1);
  const WindowGeometry g = ConvGeometry(ctx.node, ctx.in[0], w);
  RunPrepared(ctx, g, ZeroPointOf(PlainInput(ctx, 2)), [&] {
    return Prepared{QConvWeights::Pack(CodesOf(w), g.shape, ZeroPointsOf(PlainInput(ctx, 3))),
                    MakeQOutput({}, g.shape.out_c)};
  });
}

}  // namespace

void AddIntegerConv(OpTable& table) {
  table.Add("mezzo:QConv", &QConvOp, true, &PrepareQConv);
  table.Add("QLinearConv", &QLinearConv, true);
  table.Add("ConvInteger", &ConvInteger, true);
}

}  // namespace mezzo
