// Concat, Split, Compress.
#include <cstring>

#include "mezzo/runtime/ops/op_util.h"
#include "mezzo/runtime/ops/shape_ops.h"

namespace mezzo {
namespace {

using Bytes = const std::byte*;

// The tensor seen from one axis, in the order in which its dimensions lie in memory.
AxisView MemoryView(const Tensor& t, size_t axis) {
  if (t.layout() == Layout::kPlain || t.rank() < 3) return {t.shape(), axis};
  Shape shape = t.shape();
  std::rotate(shape.begin() + 1, shape.begin() + 2, shape.end());
  return {shape, axis == 0 ? 0 : axis == 1 ? t.rank() - 1 : axis - 1};
}

// Inputs that all lie in the same layout are joined as they are.
void Concat(OpContext& ctx) {
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), ctx.in[0].rank());
  const Layout layout = ctx.in[0].layout();
  Shape shape = ctx.in[0].shape();
  shape[axis] = 0;
  for (Tensor& t : ctx.in) {
    Require(t.dtype() == ctx.in[0].dtype(), "inputs are ", Name(ctx.in[0].dtype()), " and ",
            Name(t.dtype()), ", which must be the same");
    t = t.ToLayout(layout);
    Shape expected = shape;
    if (t.rank() > axis) expected[axis] = t.dim(axis);
    Require(t.shape() == expected, "cannot join ", ToString(t.shape()), " to ",
            ToString(ctx.in[0].shape()), " along axis ", axis);
    shape[axis] += t.dim(axis);
  }
  Tensor& out = ctx.out[0] = Tensor(ctx.in[0].dtype(), shape, layout);
  const AxisView view = MemoryView(out, axis);
  const int64_t unit = view.inner * SizeOf(out.dtype()), row = view.length * unit;
  int64_t at = 0;
  for (const Tensor& t : ctx.in) {
    const int64_t width = t.dim(axis) * unit;
    if (width == 0) continue;
    const size_t grain = std::max<int64_t>(1, 4 * kGrain / width);
    ctx.threads.For(view.outer, grain, [&](size_t begin, size_t end) {
      for (size_t o = begin; o < end; ++o)
        std::memcpy(static_cast<std::byte*>(out.raw()) + o * row + at,
                    static_cast<Bytes>(t.raw()) + o * width, width);
    });
    at += width;
  }
}

// The lengths of the parts along an axis of the given length.
std::vector<int64_t> SplitLengths(OpContext& ctx, int64_t length) {
  if (ctx.Has(1)) {
    const std::vector<int64_t> lengths = ToInts(ctx.Plain(1));
    Require(std::accumulate(lengths.begin(), lengths.end(), int64_t{0}) == length &&
                lengths.size() == ctx.out.size(),
            "parts ", ToString(lengths), " do not make up ", length, " in ", ctx.out.size(),
            " outputs");
    return lengths;
  }
  const auto parts = static_cast<int64_t>(ctx.out.size()), size = (length + parts - 1) / parts;
  std::vector<int64_t> lengths;
  for (int64_t p = 0; p < parts; ++p)
    lengths.push_back(std::clamp<int64_t>(length - p * size, 0, size));
  return lengths;
}

void Split(OpContext& ctx) {
  const Tensor& x = ctx.in[0];
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), x.rank());
  const AxisView view = MemoryView(x, axis);
  const std::vector<int64_t> lengths = SplitLengths(ctx, view.length);
  const int64_t unit = view.inner * SizeOf(x.dtype()), row = view.length * unit;
  int64_t at = 0;
  for (size_t p = 0; p < lengths.size(); ++p) {
    Require(lengths[p] >= 0, "part ", p, " has length ", lengths[p]);
    Shape shape = x.shape();
    shape[axis] = lengths[p];
    Tensor& out = ctx.out[p] = Tensor(x.dtype(), shape, x.layout());
    const int64_t width = lengths[p] * unit;
    if (width > 0)
      for (int64_t o = 0; o < view.outer; ++o)
        std::memcpy(static_cast<std::byte*>(out.raw()) + o * width,
                    static_cast<Bytes>(x.raw()) + o * row + at, width);
    at += width;
  }
}

// Keeps the slices along an axis (or, without one, the elements) whose condition is true.
void Compress(OpContext& ctx) {
  Tensor x = ctx.Plain(0);
  if (!ctx.node.Has("axis")) x = x.Reshape({x.numel()});
  const size_t axis = ctx.node.Has("axis") ? NormalAxis(ctx.node.Int("axis", 0), x.rank()) : 0;
  const AxisView view(x.shape(), axis);
  const Tensor& condition = ctx.Plain(1);
  std::vector<int64_t> kept;
  for (int64_t i = 0; i < std::min(condition.numel(), view.length); ++i)
    if (condition.data<bool>()[i]) kept.push_back(i);
  Shape shape = x.shape();
  shape[axis] = static_cast<int64_t>(kept.size());
  ctx.out[0] = Tensor(x.dtype(), shape);
  const int64_t unit = view.inner * SizeOf(x.dtype());
  auto* y = static_cast<std::byte*>(ctx.out[0].raw());
  for (int64_t o = 0; o < view.outer; ++o)
    for (const int64_t i : kept)
      y = std::copy_n(static_cast<Bytes>(x.raw()) + (o * view.length + i) * unit, unit, y);
}

}  // namespace

void AddJoining(OpTable& table) {
  table.Add("Concat", &Concat, true);
  table.Add("Split", &Split, true);
  table.Add("Compress", &Compress);
}

}  // namespace mezzo
