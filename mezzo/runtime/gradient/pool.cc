// Gradients of pools and reductions.
#include <algorithm>

#include "mezzo/runtime/gradient/rule.h"
#include "mezzo/runtime/ops/op_util.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {
namespace {

// The operator tells which element it took.
void MaxPoolGradient(GradientContext& ctx) {
  Node node = ctx.node;
  node.outputs = {"y", "indices"};
  node.attributes["storage_order"] = int64_t{0};
  const Tensor at = RunOp(node, {ctx.in[0]}, ctx.threads)[1].ToLayout(Layout::kPlain);
  const Tensor g = ctx.g[0].ToLayout(Layout::kPlain);
  Tensor dx = Tensor::Zeros(DType::kFloat32, ctx.in[0].shape());
  for (int64_t i = 0; i < g.numel(); ++i)
    dx.data<float>()[at.data<int64_t>()[i]] += g.data<float>()[i];
  ctx.result[0] = dx;
}

// What the pool makes of ones is the number of inputs in a window over what it divides by.
void AveragePoolGradient(GradientContext& ctx) {
  const Tensor& x = ctx.in[0];
  const Window w = ReadWindow(ctx.node, x.shape(), ctx.node.Ints("kernel_shape"));
  const int64_t channels = x.dim(1);
  Shape one = x.shape();
  one[0] = one[1] = 1;
  Tensor ones(DType::kFloat32, one);
  std::fill_n(ones.data<float>(), ones.numel(), 1.0f);
  const Tensor share = RunOp(ctx.node, {ones}, ctx.threads)[0];
  const Tensor g = ctx.g[0].ToLayout(Layout::kChannelsLast);
  Tensor dx(DType::kFloat32, x.shape(), Layout::kChannelsLast);
  std::fill_n(dx.data<float>(), dx.numel(), 0.0f);
  std::vector<int64_t> offsets(w.taps());
  TapWalk walk(w, 0);
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t o = 0; o < w.out_size(); ++o) {
      walk.Next(offsets.data());
      const auto inside = static_cast<float>(
          std::count_if(offsets.begin(), offsets.end(), [](int64_t t) { return t >= 0; }));
      const float factor = inside == 0 ? 0 : share.data<float>()[o] / inside;
      const float* from = g.data<float>() + (n * w.out_size() + o) * channels;
      for (const int64_t t : offsets) {
        if (t < 0) continue;
        float* to = dx.data<float>() + (n * w.in_size() + t) * channels;
        for (int64_t c = 0; c < channels; ++c) to[c] += factor * from[c];
      }
    }
  ctx.result[0] = dx;
}

// g over the shape of x, times `scale`.
Tensor Spread(const GradientContext& ctx, const Tensor& g, float scale) {
  const Tensor scaled = RunOp("Mul", {g, Tensor::Scalar(scale)}, {}, ctx.threads);
  return RunOp("Expand", {scaled, Tensor::Vector(ctx.in[0].shape())}, {}, ctx.threads);
}

// A reduction's result, or its gradient, with the reduced axes kept as 1.
Tensor WithAxes(const GradientContext& ctx, const Tensor& t) {
  Shape shape = ctx.in[0].shape();
  const bool given = ctx.in.size() > 1 && ctx.in[1].defined() && ctx.in[1].numel() > 0;
  const auto flags = AxisFlags(given ? ToInts(ctx.in[1]) : std::vector<int64_t>{}, shape.size());
  for (size_t i = 0; i < shape.size(); ++i)
    if (flags[i] || !given) shape[i] = 1;
  return t.ToLayout(Layout::kPlain).Reshape(shape);
}

bool Copies(const GradientContext& ctx) {  // noop_with_empty_axes
  return ctx.out[0].shape() == ctx.in[0].shape();
}

void SumGradient(GradientContext& ctx) {
  ctx.result[0] = Copies(ctx) ? ctx.g[0] : Spread(ctx, WithAxes(ctx, ctx.g[0]), 1);
}
void MeanGradient(GradientContext& ctx) {
  const auto ratio = static_cast<float>(ctx.g[0].numel()) / static_cast<float>(ctx.in[0].numel());
  ctx.result[0] = Copies(ctx) ? ctx.g[0] : Spread(ctx, WithAxes(ctx, ctx.g[0]), ratio);
}
void GlobalAverageGradient(GradientContext& ctx) {
  const auto ratio = static_cast<float>(ctx.g[0].numel()) / static_cast<float>(ctx.in[0].numel());
  ctx.result[0] = Spread(ctx, ctx.g[0], ratio);
}
// Elements that equal the extreme share its gradient.
void ExtremeGradient(GradientContext& ctx) {
  const Tensor y = WithAxes(ctx, ctx.out[0]), g = WithAxes(ctx, ctx.g[0]);
  const Tensor here = Cast(RunOp("Equal", {ctx.in[0], y}, {}, ctx.threads).ToLayout(Layout::kPlain),
                           DType::kFloat32);
  const Tensor count = SumTo(here, y.shape(), ctx.threads);
  const Tensor each = RunOp("Div", {g, count}, {}, ctx.threads);
  ctx.result[0] = RunOp("Mul", {here, each}, {}, ctx.threads);
}

}  // namespace

void AddPoolGradients(GradientTable& table) {
  table.Add("MaxPool", &MaxPoolGradient);
  table.Add("AveragePool", &AveragePoolGradient);
  table.Add("GlobalAveragePool", &GlobalAverageGradient);
  table.Add("ReduceSum", &SumGradient);
  table.Add("ReduceMean", &MeanGradient);
  table.Add("ReduceMax", &ExtremeGradient);
  table.Add("ReduceMin", &ExtremeGradient);
}

}  // namespace mezzo
