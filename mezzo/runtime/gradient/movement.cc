// Gradients of operators that only move elements. The operator itself says where each element of
// its result came from: run on the numbers 1, 2, 3, ... in place of the elements it gives, for each
// element of the result, the number of its source (0 for what it filled in), and the gradient is
// added up there.
#include <numeric>

#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {
namespace {

bool IsReal(const Tensor& t) { return t.dtype() == DType::kFloat32; }

// The same elements in the same order: only the shape differs.
void ReshapeGradient(GradientContext& ctx) {
  if (IsReal(ctx.in[0]))
    ctx.result[0] = ctx.g[0].ToLayout(Layout::kPlain).Reshape(ctx.in[0].shape());
}

void IdentityGradient(GradientContext& ctx) {
  if (IsReal(ctx.in[0]) && ctx.g[0].defined()) ctx.result[0] = ctx.g[0];
}

void TransposeGradient(GradientContext& ctx) {
  const size_t rank = ctx.in[0].rank();
  std::vector<int64_t> perm(rank), inverse(rank);
  for (size_t i = 0; i < rank; ++i) perm[i] = static_cast<int64_t>(rank - 1 - i);
  perm = ctx.node.Ints("perm", perm);
  for (size_t i = 0; i < rank; ++i) inverse[perm[i]] = static_cast<int64_t>(i);
  ctx.result[0] = RunOp("Transpose", {ctx.g[0]}, {{"perm", inverse}}, ctx.threads);
}

// The numbers first, first + 1, ... in the shape of t.
Tensor Numbers(const Tensor& t, int64_t first) {
  Tensor n(DType::kInt32, t.shape());
  std::iota(n.data<int32_t>(), n.data<int32_t>() + n.numel(), static_cast<int32_t>(first));
  return n;
}

// Inputs [0, count) are moved; the others say how.
void Move(GradientContext& ctx, size_t count) {
  std::vector<Tensor> in(ctx.in.begin(), ctx.in.end());
  std::vector<int64_t> first(count);
  int64_t next = 1;
  for (size_t i = 0; i < count; ++i) {
    first[i] = next;
    in[i] = Numbers(in[i], next);
    next += in[i].numel();
  }
  Require(next < INT32_MAX, "more than 2^31 elements");
  const std::vector<Tensor> source = RunOp(ctx.node, in, ctx.threads);
  std::vector<float> sums(next, 0.0f);
  for (size_t o = 0; o < source.size(); ++o) {
    if (!ctx.g[o].defined()) continue;
    const Tensor g = ctx.g[o].ToLayout(Layout::kPlain), s = source[o].ToLayout(Layout::kPlain);
    const float* from = g.data<float>();
    const int32_t* to = s.data<int32_t>();
    for (int64_t i = 0; i < g.numel(); ++i) sums[to[i]] += from[i];
  }
  for (size_t i = 0; i < count; ++i) {
    if (!ctx.Wants(i)) continue;
    Tensor t(DType::kFloat32, ctx.in[i].shape());
    std::copy_n(sums.data() + first[i], t.numel(), t.data<float>());
    ctx.result[i] = t;
  }
}

void MoveFirst(GradientContext& ctx) {
  if (IsReal(ctx.in[0])) Move(ctx, 1);
}
void MoveAll(GradientContext& ctx) {
  if (IsReal(ctx.in[0])) Move(ctx, ctx.in.size());
}

void PadGradient(GradientContext& ctx) {
  const bool constant = ctx.node.String("mode", "constant") == "constant";
  if (!constant || ctx.in.size() < 3 || !ctx.in[2].defined()) return MoveFirst(ctx);
  // what it fills in has no source
  std::vector<Tensor> in(ctx.in.begin(), ctx.in.end());
  in[2] = Tensor::Scalar(int32_t{0});
  GradientContext padded{ctx.node,    in,         ctx.out,
                         ctx.g,       ctx.wanted, ctx.constant,
                         ctx.threads, ctx.state,  std::move(ctx.result)};
  MoveFirst(padded);
  ctx.result = std::move(padded.result);
}

// Where(condition, a, b): the condition moves nothing.
void WhereGradient(GradientContext& ctx) {
  const Tensor zero = Tensor::Scalar(0.0f);
  for (size_t i = 1; i < 3; ++i) {
    if (!ctx.Wants(i)) continue;
    const Tensor mine = i == 1 ? RunOp("Where", {ctx.in[0], ctx.g[0], zero}, {}, ctx.threads)
                               : RunOp("Where", {ctx.in[0], zero, ctx.g[0]}, {}, ctx.threads);
    ctx.result[i] = SumTo(mine, ctx.in[i].shape(), ctx.threads);
  }
}

void ExpandGradient(GradientContext& ctx) {
  if (IsReal(ctx.in[0])) ctx.result[0] = SumTo(ctx.g[0], ctx.in[0].shape(), ctx.threads);
}

}  // namespace

void AddMovementGradients(GradientTable& table) {
  for (const char* op : {"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
    table.Add(op, &ReshapeGradient);
  for (const char* op : {"Identity", "Cast", "Dropout"}) table.Add(op, &IdentityGradient);
  table.Add("Transpose", &TransposeGradient);
  table.Add("Expand", &ExpandGradient);
  for (const char* op : {"Slice", "Gather", "GatherElements", "GatherND", "Split", "Tile",
                         "DepthToSpace", "SpaceToDepth", "Trilu"})
    table.Add(op, &MoveFirst);
  table.Add("Pad", &PadGradient);
  table.Add("Concat", &MoveAll);
  table.Add("Where", &WhereGradient);
}

}  // namespace mezzo
