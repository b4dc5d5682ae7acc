// Gradients of elementwise operators: g times the derivative, summed where an input was repeated.
#include <algorithm>
#include <cmath>

#include "mezzo/format/affine_int.h"
#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/gradient/rule.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

using vmath::F8;

// g * f(t), for t of g's shape; f of vectors.
template <class F>
Tensor Times(const GradientContext& ctx, const Tensor& any, const F& f) {
  const Tensor& g = ctx.g[0];
  const Tensor t = any.ToLayout(g.layout());
  Tensor y(DType::kFloat32, g.shape(), g.layout());
  const float *a = g.data<float>(), *b = t.data<float>();
  float* to = y.data<float>();
  ctx.threads.For(g.numel(), kGrain, [&](size_t begin, size_t end) {
    vmath::Map2(a + begin, b + begin, to + begin, end - begin,
                [&](F8 d, F8 v) { return d * f(v); });
  });
  return y;
}

// d y / d x as a function of x, or of y. `From` is 0 for x, 1 for y.
template <class F, bool of_output>
void Unary(GradientContext& ctx) {
  ctx.result[0] = Times(ctx, of_output ? ctx.out[0] : ctx.in[0], F(ctx.node));
}

F8 Step(F8 x) { return x > 0.0f ? vmath::Splat(1.0f) : vmath::Splat(0.0f); }

struct FromNode {
  explicit FromNode(const Node&) {}
};
struct ReluOfY : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 y) const { return Step(y); }
};
struct SigmoidOfY : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 y) const { return y * (1.0f - y); }
};
struct TanhOfY : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 y) const { return 1.0f - y * y; }
};
struct ExpOfY : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 y) const { return y; }
};
struct SqrtOfY : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 y) const { return 0.5f / y; }
};
struct ReciprocalOfY : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 y) const { return -(y * y); }
};
struct LogOfX : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 x) const { return 1.0f / x; }
};
struct NegOfX : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 x) const { return vmath::Splat(-1.0f); }
};
struct AbsOfX : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 x) const { return Step(x) - Step(-x); }
};
struct ErfOfX : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 x) const { return 1.12837917f * vmath::Exp(-(x * x)); }
};
// Phi(x) + x phi(x); its tanh form is followed as if it were the exact one where they differ by
// less than 5e-4, so it has its own.
struct GeluOfX {
  bool tanh;
  explicit GeluOfX(const Node& n) : tanh(n.String("approximate", "none") == "tanh") {}
  F8 operator()(F8 x) const {
    if (!tanh)
      return 0.5f * (1.0f + vmath::Erf(x * 0.70710678f)) +
             x * 0.39894228f * vmath::Exp(-0.5f * x * x);
    const F8 inner = 0.79788456f * (x + 0.044715f * x * x * x), t = vmath::Tanh(inner);
    return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * 0.79788456f * (1.0f + 0.134145f * x * x);
  }
};
struct SwishOfX {
  float alpha;
  explicit SwishOfX(const Node& n) : alpha(n.Float("alpha", 1.0f)) {}
  F8 operator()(F8 x) const {
    const F8 s = vmath::Sigmoid(alpha * x);
    return s + alpha * x * s * (1.0f - s);
  }
};
struct LeakyReluOfX {
  float alpha;
  explicit LeakyReluOfX(const Node& n) : alpha(n.Float("alpha", 0.01f)) {}
  F8 operator()(F8 x) const { return x > 0.0f ? vmath::Splat(1.0f) : vmath::Splat(alpha); }
};
struct HardSigmoidOfY {
  float alpha;
  explicit HardSigmoidOfY(const Node& n) : alpha(n.Float("alpha", 0.2f)) {}
  F8 operator()(F8 y) const { return alpha * Step(y) * Step(1.0f - y); }
};
struct HardSwishOfX : FromNode {
  using FromNode::FromNode;
  F8 operator()(F8 x) const {
    const F8 inside = Step(x + 3.0f) * Step(3.0f - x);
    return inside * (x * (1.0f / 3) + 0.5f) + Step(x - 3.0f);
  }
};

// Passes where a bound lets the value through, ends included.
void PassBetween(GradientContext& ctx, float lo, float hi) {
  const F8 one = vmath::Splat(1.0f), zero = vmath::Splat(0.0f);
  ctx.result[0] = Times(ctx, ctx.in[0], [&](F8 x) { return x < lo ? zero : x > hi ? zero : one; });
}
void ClipGradient(GradientContext& ctx) {
  const auto bound = [&](size_t i, float fallback) {
    return i < ctx.in.size() && ctx.in[i].defined() ? *ctx.in[i].data<float>() : fallback;
  };
  PassBetween(ctx, bound(1, -INFINITY), bound(2, INFINITY));
}

Tensor Op(const GradientContext& ctx, const char* op, const Tensor& a, const Tensor& b) {
  return RunOp(op, {a, b}, {}, ctx.threads);
}
void Give(GradientContext& ctx, size_t i, const Tensor& t) {
  ctx.result[i] = SumTo(t, ctx.in[i].shape(), ctx.threads);
}
Tensor Negated(const GradientContext& ctx, const Tensor& t) {
  return RunOp("Neg", {t}, {}, ctx.threads);
}

void AddGradient(GradientContext& ctx) {
  for (size_t i = 0; i < ctx.in.size(); ++i)  // Sum has any number of inputs
    if (ctx.Wants(i)) Give(ctx, i, ctx.g[0]);
}
void SubGradient(GradientContext& ctx) {
  if (ctx.Wants(0)) Give(ctx, 0, ctx.g[0]);
  if (ctx.Wants(1)) Give(ctx, 1, Negated(ctx, ctx.g[0]));
}
void MulGradient(GradientContext& ctx) {
  if (ctx.Wants(0)) Give(ctx, 0, Op(ctx, "Mul", ctx.g[0], ctx.in[1]));
  if (ctx.Wants(1)) Give(ctx, 1, Op(ctx, "Mul", ctx.g[0], ctx.in[0]));
}
void DivGradient(GradientContext& ctx) {
  const Tensor first = Op(ctx, "Div", ctx.g[0], ctx.in[1]);
  if (ctx.Wants(0)) Give(ctx, 0, first);
  if (ctx.Wants(1)) Give(ctx, 1, Negated(ctx, Op(ctx, "Mul", first, ctx.out[0])));
}
// x^p: p x^(p-1) for the base; x^p log x for the exponent.
void PowGradient(GradientContext& ctx) {
  const Tensor& x = ctx.in[0];
  const Tensor p = Cast(ctx.in[1].ToLayout(Layout::kPlain), DType::kFloat32);
  if (ctx.Wants(0)) {
    const Tensor less = Op(ctx, "Sub", p, Tensor::Scalar(1.0f));
    const Tensor slope = Op(ctx, "Mul", p, Op(ctx, "Pow", x, less));
    Give(ctx, 0, Op(ctx, "Mul", ctx.g[0], slope));
  }
  if (ctx.Wants(1)) {
    const Tensor slope = Op(ctx, "Mul", ctx.out[0], RunOp("Log", {x}, {}, ctx.threads));
    Give(ctx, 1, Op(ctx, "Mul", ctx.g[0], slope));
  }
}
// The input that won gets the gradient; of equals the first.
void ExtremeGradient(GradientContext& ctx) {
  Tensor left = ctx.g[0];
  for (size_t i = 0; i < ctx.in.size(); ++i) {
    const Tensor here =
        Cast(Op(ctx, "Equal", ctx.in[i], ctx.out[0]).ToLayout(Layout::kPlain), DType::kFloat32);
    const Tensor mine = Op(ctx, "Mul", left, here);
    if (ctx.Wants(i)) Give(ctx, i, mine);
    left = Op(ctx, "Sub", left, mine);
  }
}

template <class F>
void OfX(GradientTable& table, const char* op) {
  table.Add(op, &Unary<F, false>);
}
template <class F>
void OfY(GradientTable& table, const char* op) {
  table.Add(op, &Unary<F, true>);
}

// Rounding has no slope of its own: straight through (Bengio et al., arXiv 1308.3432).
void RoundedGradient(GradientContext& ctx) { ctx.result[0] = ctx.g[0]; }
// What codes get is meant for the values that they stand for; beyond the grid's ends none moves.
void QuantizeGradient(GradientContext& ctx) {
  const DType type = ctx.out[0].dtype();
  Require(ctx.in[1].numel() == 1 && (type == DType::kInt8 || type == DType::kUInt8),
          "needs one scale and codes of 8 bits");
  const IntFormat f{8, type == DType::kInt8};
  const int32_t zero = ctx.in.size() > 2 ? *Cast(ctx.in[2], DType::kInt32).data<int32_t>() : 0;
  const QParams grid{*ctx.in[1].data<float>(), zero};
  PassBetween(ctx, Dequantize(grid, f.qmin()), Dequantize(grid, f.qmax()));
}

}  // namespace

void AddElementwiseGradients(GradientTable& table) {
  for (const char* op : {"mezzo:QuantizeRows", "DequantizeLinear"}) table.Add(op, &RoundedGradient);
  table.Add("QuantizeLinear", &QuantizeGradient);
  OfY<ReluOfY>(table, "Relu");
  OfY<SigmoidOfY>(table, "Sigmoid");
  OfY<TanhOfY>(table, "Tanh");
  OfY<ExpOfY>(table, "Exp");
  OfY<SqrtOfY>(table, "Sqrt");
  OfY<ReciprocalOfY>(table, "Reciprocal");
  OfY<HardSigmoidOfY>(table, "HardSigmoid");
  OfX<LogOfX>(table, "Log");
  OfX<NegOfX>(table, "Neg");
  OfX<AbsOfX>(table, "Abs");
  OfX<ErfOfX>(table, "Erf");
  OfX<GeluOfX>(table, "Gelu");
  OfX<SwishOfX>(table, "Swish");
  OfX<LeakyReluOfX>(table, "LeakyRelu");
  OfX<HardSwishOfX>(table, "HardSwish");
  table.Add("Clip", &ClipGradient);
  table.Add("Add", &AddGradient);
  table.Add("Sum", &AddGradient);
  table.Add("Sub", &SubGradient);
  table.Add("Mul", &MulGradient);
  table.Add("Div", &DivGradient);
  table.Add("Pow", &PowGradient);
  table.Add("Max", &ExtremeGradient);
  table.Add("Min", &ExtremeGradient);
}

}  // namespace mezzo
