// Gradients of Softmax and of normalizations over the last axes, row by row, sums in double.
#include <cmath>

#include "mezzo/runtime/gradient/rule.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

Tensor Keep(const GradientContext& ctx, const char* op, std::vector<Tensor> in) {
  return RunOp(op, std::move(in), {}, ctx.threads);
}
Tensor SumAlong(const GradientContext& ctx, const Tensor& t, int64_t axis) {
  return Keep(ctx, "ReduceSum", {t, Tensor::Vector<int64_t>({axis})});
}

// dx = y (g - sum y g)
void SoftmaxGradient(GradientContext& ctx) {
  const Tensor &y = ctx.out[0], &g = ctx.g[0];
  const Tensor yg = Keep(ctx, "Mul", {y, g});
  const Tensor mean = SumAlong(ctx, yg, ctx.node.Int("axis", -1));
  ctx.result[0] = Keep(ctx, "Sub", {yg, Keep(ctx, "Mul", {y, mean})});
}
// dx = g - softmax(x) sum g
void LogSoftmaxGradient(GradientContext& ctx) {
  const Tensor p = Keep(ctx, "Exp", {ctx.out[0]});
  const Tensor sum = SumAlong(ctx, ctx.g[0], ctx.node.Int("axis", -1));
  ctx.result[0] = Keep(ctx, "Sub", {ctx.g[0], Keep(ctx, "Mul", {p, sum})});
}

// y = scale n + bias, n = (x - mean) r, r = (variance + epsilon)^-1/2 over the last `length`
// elements; RMSNormalization without the mean. With d = g scale:
//   dx = r (d - mean(d) - n mean(d n))        (mean(d) only where x has lost its own)
struct Rows {
  const GradientContext& ctx;
  bool centered;
  Tensor x, g, scale;
  int64_t rows, length;
  float epsilon;

  Rows(const GradientContext& c, bool with_mean)
      : ctx(c),
        centered(with_mean),
        x(c.in[0].ToLayout(Layout::kPlain)),
        g(c.g[0].ToLayout(Layout::kPlain)),
        epsilon(c.node.Float("epsilon", 1e-5f)) {
    const AxisView view(x.shape(), NormalAxis(c.node.Int("axis", -1), x.rank()));
    length = view.length * view.inner;
    rows = view.outer;
    scale = RunOp("Expand", {c.in[1], Tensor::Vector(Tail())}, {}, c.threads);
  }
  Shape Tail() const {
    const size_t axis = NormalAxis(ctx.node.Int("axis", -1), x.rank());
    return {x.shape().begin() + static_cast<long>(axis), x.shape().end()};
  }

  // Mean and r of a row.
  std::pair<double, double> Moments(const float* row) const {
    double mean = 0, square = 0;
    if (centered) {
      for (int64_t i = 0; i < length; ++i) mean += row[i];
      mean /= static_cast<double>(length);
    }
    for (int64_t i = 0; i < length; ++i) square += (row[i] - mean) * (row[i] - mean);
    return {mean, 1 / std::sqrt(square / static_cast<double>(length) + epsilon)};
  }

  Tensor Input() const {
    Tensor dx(DType::kFloat32, x.shape());
    const float* s = scale.data<float>();
    ctx.threads.For(rows, 1 + kGrain / (length + 1), [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) {
        const float *xr = x.data<float>() + r * length, *gr = g.data<float>() + r * length;
        float* to = dx.data<float>() + r * length;
        const std::pair<double, double> moments = Moments(xr);
        double d_sum = 0, dn_sum = 0;
        for (int64_t i = 0; i < length; ++i) {
          const double d = static_cast<double>(gr[i]) * s[i];
          d_sum += d;
          dn_sum += d * (xr[i] - moments.first) * moments.second;
        }
        const double mean_d = centered ? d_sum / static_cast<double>(length) : 0;
        const double mean_dn = dn_sum / static_cast<double>(length);
        for (int64_t i = 0; i < length; ++i) {
          const double n = (xr[i] - moments.first) * moments.second;
          to[i] = static_cast<float>(moments.second *
                                     (static_cast<double>(gr[i]) * s[i] - mean_d - n * mean_dn));
        }
      }
    });
    return dx;
  }

  Tensor Scale() const {
    std::vector<double> sums(length);
    for (int64_t r = 0; r < rows; ++r) {
      const float *xr = x.data<float>() + r * length, *gr = g.data<float>() + r * length;
      const std::pair<double, double> moments = Moments(xr);
      for (int64_t i = 0; i < length; ++i)
        sums[i] += gr[i] * (xr[i] - moments.first) * moments.second;
    }
    Tensor t(DType::kFloat32, Tail());
    for (int64_t i = 0; i < length; ++i) t.data<float>()[i] = static_cast<float>(sums[i]);
    return SumTo(t, ctx.in[1].shape(), ctx.threads);
  }
};

void RowNormGradient(GradientContext& ctx, bool centered) {
  const Rows rows(ctx, centered);
  if (ctx.Wants(0)) ctx.result[0] = rows.Input();
  if (ctx.Wants(1)) ctx.result[1] = rows.Scale();
  if (ctx.Wants(2)) ctx.result[2] = SumTo(ctx.g[0], ctx.in[2].shape(), ctx.threads);
}
void LayerNormGradient(GradientContext& ctx) { RowNormGradient(ctx, true); }
void RmsNormGradient(GradientContext& ctx) { RowNormGradient(ctx, false); }

// As in inference: a scale and a shift for each channel.
void BatchNormGradient(GradientContext& ctx) {
  Require(!ctx.node.Int("training_mode", 0), "training mode has no gradient");
  const Tensor &x = ctx.in[0], &scale = ctx.in[1], &variance = ctx.in[4];
  const float epsilon = ctx.node.Float("epsilon", 1e-5f);
  Shape channel(x.rank(), 1);
  channel[1] = x.dim(1);
  Tensor factor(DType::kFloat32, channel), mean(DType::kFloat32, channel),
      r(DType::kFloat32, channel);
  for (int64_t c = 0; c < x.dim(1); ++c) {
    r.data<float>()[c] = 1 / std::sqrt(variance.data<float>()[c] + epsilon);
    factor.data<float>()[c] = scale.data<float>()[c] * r.data<float>()[c];
    mean.data<float>()[c] = ctx.in[3].data<float>()[c];
  }
  if (ctx.Wants(0)) ctx.result[0] = Keep(ctx, "Mul", {ctx.g[0], factor});
  const auto summed = [&](const Tensor& t) {
    return SumTo(t, channel, ctx.threads).Reshape({x.dim(1)});
  };
  if (ctx.Wants(1)) {
    const Tensor n = Keep(ctx, "Mul", {Keep(ctx, "Sub", {x, mean}), r});
    ctx.result[1] = summed(Keep(ctx, "Mul", {ctx.g[0], n}));
  }
  if (ctx.Wants(2)) ctx.result[2] = summed(ctx.g[0]);
}

}  // namespace

void AddNormGradients(GradientTable& table) {
  table.Add("Softmax", &SoftmaxGradient);
  table.Add("LogSoftmax", &LogSoftmaxGradient);
  table.Add("LayerNormalization", &LayerNormGradient);
  table.Add("RMSNormalization", &RmsNormGradient);
  table.Add("BatchNormalization", &BatchNormGradient);
}

}  // namespace mezzo
