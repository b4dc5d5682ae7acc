// Gradients of Attention and RotaryEmbedding.
#include <cmath>

#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {
namespace {

Tensor Run(const GradientContext& ctx, const char* op, std::vector<Tensor> in) {
  return RunOp(op, std::move(in), {}, ctx.threads);
}
Tensor Permuted(const GradientContext& ctx, const Tensor& t, std::vector<int64_t> perm) {
  return RunOp("Transpose", {t}, {{"perm", std::move(perm)}}, ctx.threads);
}

// Y = P V, P = softmax(S), S = scale Q K^T + masks, a head each; query heads that share keys and
// values are a dimension of their own, over which these are broadcast:
// (batch, kv heads, sharing heads, tokens, depth).
class AttentionGradient {
 public:
  explicit AttentionGradient(GradientContext& ctx) : ctx_(ctx) {
    const Node& node = ctx.node;
    Require(node.Float("softcap", 0) == 0, "softcap has no gradient");
    for (size_t i = 4; i < ctx.in.size(); ++i)
      Require(!ctx.in[i].defined(), "input ", i, " has no gradient");
    Require(!ctx.Wants(3), "masks have no gradient");
    flat_ = ctx.in[0].rank() == 3;
    q_heads_ = flat_ ? node.Int("q_num_heads", 0) : ctx.in[0].dim(1);
    kv_heads_ = flat_ ? node.Int("kv_num_heads", 0) : ctx.in[1].dim(1);
  }

  void Fill() {
    Node node = ctx_.node;
    node.outputs = {"y", "k", "v", "p"};
    node.attributes["qk_matmul_output_mode"] = int64_t{3};
    const std::vector<Tensor> in(ctx_.in.begin(), ctx_.in.end());
    const std::vector<Tensor> made = RunOp(node, in, ctx_.threads);
    const Tensor p = Grouped(made[3], true), q = Split(ctx_.in[0], true);
    const Tensor k = Grouped(made[1], false), v = Grouped(made[2], false);
    const Tensor g = Split(ctx_.g[0], true);
    const float scale =
        ctx_.node.Float("scale", 1.0f / std::sqrt(static_cast<float>(q.shape().back())));

    if (ctx_.Wants(2)) Give(2, Run(ctx_, "MatMul", {Flipped(p), g}), v.shape());
    const Tensor dp = Run(ctx_, "MatMul", {g, Flipped(v)});
    const Tensor pdp = Run(ctx_, "Mul", {p, dp});
    const Tensor sum = Run(ctx_, "ReduceSum", {pdp, Tensor::Vector<int64_t>({-1})});
    const Tensor ds = Run(
        ctx_, "Mul", {Run(ctx_, "Sub", {pdp, Run(ctx_, "Mul", {p, sum})}), Tensor::Scalar(scale)});
    if (ctx_.Wants(0)) Give(0, Run(ctx_, "MatMul", {ds, k}), q.shape());
    if (ctx_.Wants(1)) Give(1, Run(ctx_, "MatMul", {Flipped(ds), q}), k.shape());
  }

 private:
  // (batch, heads, tokens, depth) with heads in two dimensions.
  Tensor Grouped(const Tensor& t, bool queries) const {
    const int64_t sharing = queries ? q_heads_ / kv_heads_ : 1;
    return t.ToLayout(Layout::kPlain).Reshape({t.dim(0), kv_heads_, sharing, t.dim(2), t.dim(3)});
  }
  Tensor Split(const Tensor& t, bool queries) const {
    if (!flat_) return Grouped(t, queries);
    const int64_t heads = queries ? q_heads_ : kv_heads_;
    const Tensor four =
        t.ToLayout(Layout::kPlain).Reshape({t.dim(0), t.dim(1), heads, t.dim(2) / heads});
    return Grouped(Permuted(ctx_, four, {0, 2, 1, 3}), queries);
  }
  Tensor Flipped(const Tensor& t) const { return Permuted(ctx_, t, {0, 1, 2, 4, 3}); }

  // Back from five dimensions to the input's.
  void Give(size_t i, const Tensor& five, const Shape& shape) {
    Tensor t = SumTo(five, shape, ctx_.threads);
    t = t.Reshape({t.dim(0), t.dim(1) * t.dim(2), t.dim(3), t.dim(4)});
    if (flat_) t = Permuted(ctx_, t, {0, 2, 1, 3});
    ctx_.result[i] = t.ToLayout(Layout::kPlain).Reshape(ctx_.in[i].shape());
  }

  GradientContext& ctx_;
  bool flat_;
  int64_t q_heads_, kv_heads_;
};

void Attention(GradientContext& ctx) { AttentionGradient(ctx).Fill(); }

// A rotation's transpose turns the other way.
void RotaryEmbedding(GradientContext& ctx) {
  std::vector<Tensor> in(ctx.in.begin(), ctx.in.end());
  in[0] = ctx.g[0];
  in[2] = RunOp("Neg", {in[2]}, {}, ctx.threads);
  ctx.result[0] = RunOp(ctx.node, std::move(in), ctx.threads)[0];
}

}  // namespace

void AddAttentionGradients(GradientTable& table) {
  table.Add("Attention", &Attention);
  table.Add("RotaryEmbedding", &RotaryEmbedding);
}

}  // namespace mezzo
