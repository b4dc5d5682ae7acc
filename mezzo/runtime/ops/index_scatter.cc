// ScatterElements, ScatterND, TensorScatter. Indices may be negative; out of range is a UsageError.
// Updates to the same place apply in the order of the indices.
#include <cstring>

#include "mezzo/runtime/ops/index.h"

namespace mezzo {
namespace {

// Calls f(combine) with the function that puts an update into its place; T is an unsigned type of
// the element's size if no arithmetic is asked for.
template <class F>
void WithReduction(const std::string& reduction, DType dtype, F&& f) {
  if (reduction == "none")
    return WithSize(SizeOf(dtype),
                    [&]<class U>() { f.template operator()<U>([](U& y, U u) { y = u; }); });
  WithType(dtype, [&]<class T>() {
    if (reduction == "add")
      f.template operator()<T>([](T& y, T u) { y = static_cast<T>(y + u); });
    else if (reduction == "mul")
      f.template operator()<T>([](T& y, T u) { y = static_cast<T>(y * u); });
    else if (reduction == "max")
      f.template operator()<T>([](T& y, T u) { y = std::max(y, u); });
    else if (reduction == "min")
      f.template operator()<T>([](T& y, T u) { y = std::min(y, u); });
    else
      throw UsageError(Cat("reduction is \"", reduction, "\", needs none, add, mul, max or min"));
  });
}

// A tensor with the data of input 0 that may be written to.
Tensor WritableCopy(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  Tensor out = ctx.TakeOrMake(0, x.dtype());
  if (out.raw() != x.raw() && x.bytes() > 0) std::memcpy(out.raw(), x.raw(), x.bytes());
  return out;
}

void RequireUpdateType(OpContext& ctx) {
  Require(ctx.Plain(2).dtype() == ctx.in[0].dtype(), "updates are ", Name(ctx.in[2].dtype()),
          ", the data ", Name(ctx.in[0].dtype()));
}

void ScatterElements(OpContext& ctx) {
  RequireUpdateType(ctx);
  const Tensor &x = ctx.Plain(0), &updates = ctx.Plain(2);
  const Tensor indices = Cast(ctx.Plain(1), DType::kInt64);
  Require(indices.shape() == updates.shape() && indices.rank() == x.rank(), "indices ",
          ToString(indices.shape()), " and updates ", ToString(updates.shape()),
          " do not fit the data ", ToString(x.shape()));
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), x.rank());
  for (size_t d = 0; d < x.rank(); ++d)
    Require(d == axis || indices.dim(d) <= x.dim(d), "indices ", ToString(indices.shape()),
            " reach beyond the data ", ToString(x.shape()));
  std::vector<int64_t> strides = PlainStrides(x.shape());
  const int64_t step = std::exchange(strides[axis], 0), *index = indices.data<int64_t>();
  ctx.out[0] = WritableCopy(ctx);
  WithReduction(ctx.node.String("reduction", "none"), x.dtype(), [&]<class T>(const auto& combine) {
    auto* y = static_cast<T*>(ctx.out[0].raw());
    const auto* u = static_cast<const T*>(updates.raw());
    ForEachIndex(indices.shape(), strides, [&](int64_t i, int64_t offset) {
      combine(y[offset + NormalIndex(index[i], x.dim(axis)) * step], u[i]);
    });
  });
}

void ScatterND(OpContext& ctx) {
  RequireUpdateType(ctx);
  const Tensor &x = ctx.Plain(0), &updates = ctx.Plain(2);
  const Tensor indices = Cast(ctx.Plain(1), DType::kInt64);
  Require(indices.rank() >= 1, "indices are a scalar");
  const auto width = static_cast<size_t>(indices.shape().back());
  Require(width <= x.rank(), "index tuples of ", width, " for rank ", x.rank());
  int64_t unit = 1, count = 1;
  for (size_t d = width; d < x.rank(); ++d) unit *= x.dim(d);
  for (size_t d = 0; d + 1 < indices.rank(); ++d) count *= indices.dim(d);
  Require(updates.numel() == count * unit, "updates ", ToString(updates.shape()), " do not fit ",
          count, " places of ", unit, " elements");
  ctx.out[0] = WritableCopy(ctx);
  WithReduction(ctx.node.String("reduction", "none"), x.dtype(), [&]<class T>(const auto& combine) {
    auto* y = static_cast<T*>(ctx.out[0].raw());
    const auto* u = static_cast<const T*>(updates.raw());
    const int64_t* index = indices.data<int64_t>();
    for (int64_t r = 0; r < count; ++r, index += width, u += unit) {
      int64_t at = 0;
      for (size_t d = 0; d < width; ++d) at = at * x.dim(d) + NormalIndex(index[d], x.dim(d));
      for (int64_t i = 0; i < unit; ++i) combine(y[at * unit + i], u[i]);
    }
  });
}

// Writes a run of steps into a cache, per batch entry from its own position on.
void TensorScatter(OpContext& ctx) {
  const Tensor &cache = ctx.Plain(0), &update = ctx.Plain(1);
  const size_t axis = NormalAxis(ctx.node.Int("axis", -2), cache.rank());
  Require(axis > 0, "axis must not be the batch axis");
  Require(update.dtype() == cache.dtype() && update.rank() == cache.rank(), "the update ",
          ToString(update.shape()), " does not fit the cache ", ToString(cache.shape()));
  for (size_t d = 0; d < cache.rank(); ++d)
    Require(d == axis ? update.dim(d) <= cache.dim(d) : update.dim(d) == cache.dim(d),
            "the update ", ToString(update.shape()), " does not fit the cache ",
            ToString(cache.shape()));
  const std::string mode = ctx.node.String("mode", "linear");
  Require(mode == "linear" || mode == "circular", "mode is \"", mode,
          "\", needs linear or circular");
  std::vector<int64_t> first(cache.dim(0), 0);
  if (ctx.Has(2)) first = ToInts(ctx.Plain(2));
  Require(static_cast<int64_t>(first.size()) == cache.dim(0), "got ", first.size(),
          " write indices for a batch of ", cache.dim(0));
  const AxisView to(cache.shape(), axis), from(update.shape(), axis);
  const int64_t unit = to.inner * SizeOf(cache.dtype());
  ctx.out[0] = WritableCopy(ctx);
  if (update.numel() == 0) return;
  for (int64_t o = 0; o < to.outer; ++o)
    for (int64_t s = 0; s < from.length; ++s) {
      int64_t at = first[o / (to.outer / cache.dim(0))] + s;
      if (mode == "circular") at %= to.length;
      Require(at >= 0 && at < to.length, "step ", at, " is beyond the cache of ", to.length);
      std::memcpy(static_cast<std::byte*>(ctx.out[0].raw()) + (o * to.length + at) * unit,
                  static_cast<const std::byte*>(update.raw()) + (o * from.length + s) * unit, unit);
    }
}

// float16 and bfloat16 need arithmetic only where there is a reduction.
template <OpFn run>
void Scatter(OpContext& ctx) {
  ctx.node.String("reduction", "none") == "none" ? run(ctx) : ViaFloat<run>(ctx);
}

}  // namespace

void AddScattering(OpTable& table) {
  table.Add("ScatterElements", &Scatter<&ScatterElements>);
  table.Add("ScatterND", &Scatter<&ScatterND>);
  table.Add("TensorScatter", &TensorScatter);
}

}  // namespace mezzo
