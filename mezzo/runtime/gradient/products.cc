// Gradients of matrix products: dA = G B^T, dB = A^T G.
#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {
namespace {

Tensor Product(const GradientContext& ctx, const Tensor& a, const Tensor& b) {
  return RunOp("MatMul", {a, b}, {}, ctx.threads);
}

// The last two dimensions swapped.
Tensor Swapped(const GradientContext& ctx, const Tensor& t) {
  std::vector<int64_t> perm(t.rank());
  for (size_t i = 0; i < t.rank(); ++i) perm[i] = static_cast<int64_t>(i);
  std::swap(perm[t.rank() - 1], perm[t.rank() - 2]);
  return RunOp("Transpose", {t}, {{"perm", perm}}, ctx.threads);
}

// G times the transpose of a constant matrix, which is packed once.
Tensor TimesTransposed(GradientContext& ctx, const Tensor& g, bool transposed) {
  const Tensor plain = g.ToLayout(Layout::kPlain);
  const int64_t n = plain.shape().back();
  const Tensor rows = plain.Reshape({n == 0 ? 0 : plain.numel() / n, n});
  const Node gemm{"Gemm", "", ctx.node.name, {"g", "w"}, {"y"}, {{"transB", int64_t{!transposed}}}};
  const char constant[] = {0, 1};
  return RunOp(gemm, {rows, ctx.in[1]}, ctx.threads, constant, &ctx.state)[0];
}

void MatMulGradient(GradientContext& ctx) {
  const Tensor &a = ctx.in[0], &b = ctx.in[1];
  Require(a.rank() >= 2 && b.rank() >= 2, "needs matrices");
  const Tensor& g = ctx.g[0];
  if (ctx.Wants(0)) {
    if (ctx.constant[1] && b.rank() == 2)
      ctx.result[0] = TimesTransposed(ctx, g, false).Reshape(a.shape());
    else
      ctx.result[0] = SumTo(Product(ctx, g, Swapped(ctx, b)), a.shape(), ctx.threads);
  }
  if (!ctx.Wants(1)) return;
  if (b.rank() == 2) {  // one product over all rows
    const int64_t k = b.dim(0), n = b.dim(1);
    const Tensor rows = a.ToLayout(Layout::kPlain).Reshape({a.numel() / k, k});
    const Tensor out = g.ToLayout(Layout::kPlain).Reshape({a.numel() / k, n});
    ctx.result[1] = Product(ctx, Swapped(ctx, rows), out);
  } else {
    ctx.result[1] = SumTo(Product(ctx, Swapped(ctx, a), g), b.shape(), ctx.threads);
  }
}

// y = alpha op(A) op(B) + beta C
void GemmGradient(GradientContext& ctx) {
  const bool ta = ctx.node.Int("transA", 0), tb = ctx.node.Int("transB", 0);
  const float alpha = ctx.node.Float("alpha", 1), beta = ctx.node.Float("beta", 1);
  const auto scaled = [&](const Tensor& t, float by) {
    return by == 1 ? t : RunOp("Mul", {t, Tensor::Scalar(by)}, {}, ctx.threads);
  };
  const Tensor g = scaled(ctx.g[0], alpha);
  if (ctx.Wants(0)) {
    if (!ta && ctx.constant[1]) {
      ctx.result[0] = TimesTransposed(ctx, g, tb);
    } else {
      const Tensor b = tb ? ctx.in[1] : Swapped(ctx, ctx.in[1]);
      ctx.result[0] = Product(ctx, g, b);
      if (ta) ctx.result[0] = Swapped(ctx, ctx.result[0]);
    }
  }
  if (ctx.Wants(1)) {
    const Tensor& a = ctx.in[0];
    // A^T G, or its transpose G^T A
    ctx.result[1] = tb ? Product(ctx, Swapped(ctx, g), ta ? Swapped(ctx, a) : a)
                       : Product(ctx, ta ? a : Swapped(ctx, a), g);
  }
  if (ctx.Wants(2)) ctx.result[2] = SumTo(scaled(ctx.g[0], beta), ctx.in[2].shape(), ctx.threads);
}

}  // namespace

void AddProductGradients(GradientTable& table) {
  table.Add("MatMul", &MatMulGradient);
  table.Add("Gemm", &GemmGradient);
}

}  // namespace mezzo
