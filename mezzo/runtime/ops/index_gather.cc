// Gather, GatherElements, GatherND. Indices may be negative; out of range is a UsageError.
#include <cstring>

#include "mezzo/runtime/ops/index.h"

namespace mezzo {
namespace {

// y[o, i..., n] = x[o, indices[i...], n]
void Gather(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Tensor indices = Cast(ctx.Plain(1), DType::kInt64);
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), x.rank());
  const AxisView view(x.shape(), axis);
  Shape shape(x.shape().begin(), x.shape().begin() + axis);
  shape.insert(shape.end(), indices.shape().begin(), indices.shape().end());
  shape.insert(shape.end(), x.shape().begin() + axis + 1, x.shape().end());
  ctx.out[0] = Tensor(x.dtype(), shape);
  const int64_t unit = view.inner * SizeOf(x.dtype()), count = indices.numel();
  if (ctx.out[0].numel() == 0) return;
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(ctx.out[0].raw());
  const int64_t* index = indices.data<int64_t>();
  const size_t grain = std::max<int64_t>(1, 4 * kGrain / unit);
  ctx.threads.For(view.outer * count, grain, [&](size_t begin, size_t end) {
    for (int64_t r = begin; r < static_cast<int64_t>(end); ++r) {
      const int64_t at = NormalIndex(index[r % count], view.length);
      std::memcpy(to + r * unit, from + (r / count * view.length + at) * unit, unit);
    }
  });
}

void GatherElements(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Tensor indices = Cast(ctx.Plain(1), DType::kInt64);
  Require(indices.rank() == x.rank(), "indices have rank ", indices.rank(), ", the data ",
          x.rank());
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), x.rank());
  std::vector<int64_t> strides = PlainStrides(x.shape());
  for (size_t d = 0; d < x.rank(); ++d)
    Require(d == axis || indices.dim(d) <= x.dim(d), "indices ", ToString(indices.shape()),
            " reach beyond the data ", ToString(x.shape()));
  const int64_t step = std::exchange(strides[axis], 0);
  ctx.out[0] = Tensor(x.dtype(), indices.shape());
  const int64_t* index = indices.data<int64_t>();
  WithSize(SizeOf(x.dtype()), [&]<class U>() {
    const auto* from = static_cast<const U*>(x.raw());
    auto* to = static_cast<U*>(ctx.out[0].raw());
    ForEachIndex(indices.shape(), strides, [&](int64_t i, int64_t offset) {
      to[i] = from[offset + NormalIndex(index[i], x.dim(axis)) * step];
    });
  });
}

// The last axis of the indices holds index tuples into the dimensions behind the batch.
void GatherND(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Tensor indices = Cast(ctx.Plain(1), DType::kInt64);
  const auto batch_dims = static_cast<size_t>(ctx.node.Int("batch_dims", 0));
  Require(indices.rank() > batch_dims && x.rank() > batch_dims, "batch_dims is ", batch_dims,
          " for ranks ", x.rank(), " and ", indices.rank());
  const auto width = static_cast<size_t>(indices.shape().back());
  Require(batch_dims + width <= x.rank(), "index tuples of ", width, " for rank ", x.rank());
  Shape shape(indices.shape().begin(), indices.shape().end() - 1);
  shape.insert(shape.end(), x.shape().begin() + batch_dims + width, x.shape().end());
  ctx.out[0] = Tensor(x.dtype(), shape);
  if (ctx.out[0].numel() == 0) return;
  int64_t batches = 1, per_batch = 1, unit = SizeOf(x.dtype());
  for (size_t d = 0; d < batch_dims; ++d) batches *= x.dim(d);
  for (size_t d = batch_dims; d + 1 < indices.rank(); ++d) per_batch *= indices.dim(d);
  for (size_t d = batch_dims + width; d < x.rank(); ++d) unit *= x.dim(d);
  const auto* from = static_cast<const std::byte*>(x.raw());
  auto* to = static_cast<std::byte*>(ctx.out[0].raw());
  const int64_t* index = indices.data<int64_t>();
  for (int64_t r = 0; r < batches * per_batch; ++r, index += width) {
    int64_t at = r / per_batch;
    for (size_t d = 0; d < width; ++d)
      at = at * x.dim(batch_dims + d) + NormalIndex(index[d], x.dim(batch_dims + d));
    std::memcpy(to + r * unit, from + at * unit, unit);
  }
}

}  // namespace

void AddGathering(OpTable& table) {
  table.Add("Gather", &Gather);
  table.Add("GatherElements", &GatherElements);
  table.Add("GatherND", &GatherND);
}

}  // namespace mezzo
