// Slice, NonZero, OneHot; the rest of the family is in index_gather.cc and index_scatter.cc.
#include "mezzo/runtime/ops/index.h"

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

// Bounds clamp as in Python, also for negative steps.
void Slice(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> starts = ToInts(ctx.Plain(1)), ends = ToInts(ctx.Plain(2));
  std::vector<int64_t> axes(starts.size()), steps(starts.size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  if (ctx.Has(3)) axes = ToInts(ctx.Plain(3));
  if (ctx.Has(4)) steps = ToInts(ctx.Plain(4));
  Require(
      ends.size() == starts.size() && axes.size() == starts.size() && steps.size() == starts.size(),
      "starts, ends, axes and steps differ in length");
  Shape shape = x.shape();
  std::vector<int64_t> strides = PlainStrides(shape);
  int64_t offset = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis = NormalAxis(axes[i], x.rank());
    const int64_t n = x.dim(axis), step = steps[i];
    Require(step != 0, "the step of axis ", axis, " is 0");
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const int64_t start = std::clamp(starts[i] < 0 ? starts[i] + n : starts[i],
                                     std::min(std::max<int64_t>(low, 0), high), high);
    const int64_t end =
        std::clamp(ends[i] < 0 ? std::max(ends[i], -n - 1) + n : ends[i], low, high + (step < 0));
    const int64_t span = step > 0 ? end - start : start - end, by = step > 0 ? step : -step;
    shape[axis] = span > 0 ? (span - 1) / by + 1 : 0;
    offset += start * strides[axis];
    strides[axis] *= step;
  }
  if (shape == x.shape() && std::ranges::all_of(steps, [](int64_t s) { return s == 1; })) {
    ctx.out[0] = x;
    return;
  }
  ctx.out[0] = Tensor(x.dtype(), shape);
  if (ctx.out[0].numel() == 0) return;
  const size_t item = SizeOf(x.dtype());
  CopyStrided(static_cast<const std::byte*>(x.raw()) + offset * static_cast<int64_t>(item), shape,
              strides, ctx.out[0].raw(), item, ctx.threads);
}

// (rank, number of elements that are not zero)
void NonZero(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  std::vector<int64_t> hits;
  const Tensor flags = Cast(x, DType::kBool);
  for (int64_t i = 0; i < x.numel(); ++i)
    if (flags.data<bool>()[i]) hits.push_back(i);
  const auto rank = static_cast<int64_t>(x.rank()), count = static_cast<int64_t>(hits.size());
  ctx.out[0] = Tensor(DType::kInt64, {rank, count});
  const std::vector<int64_t> strides = PlainStrides(x.shape());
  for (int64_t d = 0; d < rank; ++d)
    for (int64_t i = 0; i < count; ++i)
      ctx.out[0].data<int64_t>()[d * count + i] = hits[i] / strides[d] % x.dim(d);
}

// Indices out of [-depth, depth) give a row of off values.
void OneHot(OpContext& ctx) {
  const Tensor& values = ctx.Plain(2);
  Require(values.numel() == 2, "values must hold the off and the on value");
  const Tensor indices = Cast(ctx.Plain(0), DType::kInt64);
  const int64_t depth = *Cast(ctx.Plain(1), DType::kInt64).data<int64_t>();
  Require(depth >= 0, "depth is ", depth);
  const size_t axis = NormalAxis(ctx.node.Int("axis", -1), indices.rank() + 1);
  Shape shape = indices.shape();
  shape.insert(shape.begin() + static_cast<int64_t>(axis), depth);
  ctx.out[0] = Tensor(values.dtype(), shape);
  const AxisView view(shape, axis);
  const int64_t* index = indices.data<int64_t>();
  WithSize(SizeOf(values.dtype()), [&]<class U>() {
    const U off = static_cast<const U*>(values.raw())[0],
            on = static_cast<const U*>(values.raw())[1];
    auto* y = static_cast<U*>(ctx.out[0].raw());
    std::fill_n(y, ctx.out[0].numel(), off);
    for (int64_t o = 0; o < view.outer; ++o)
      for (int64_t i = 0; i < view.inner; ++i) {
        const int64_t at = index[o * view.inner + i], hot = at < 0 ? at + depth : at;
        if (hot >= 0 && hot < depth) y[(o * depth + hot) * view.inner + i] = on;
      }
  });
}

}  // namespace

void AddIndex(OpTable& table) {
  table.Add("Slice", &Slice);
  table.Add("NonZero", &NonZero);
  table.Add("OneHot", &OneHot);
  AddGathering(table);
  AddScattering(table);
}

}  // namespace mezzo
