#include "mezzo/runtime/ops/broadcast.h"

#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {

Shape BroadcastShape(const Shape& a, const Shape& b) {
  Shape out(std::max(a.size(), b.size()), 1);
  for (size_t i = 0; i < out.size(); ++i) {  // from the last dimension on
    const int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t db = i < b.size() ? b[b.size() - 1 - i] : 1;
    Require(da == db || da == 1 || db == 1, "shapes ", ToString(a), " and ", ToString(b),
            " do not broadcast");
    out[out.size() - 1 - i] = da == 1 ? db : da;
  }
  return out;
}

std::vector<int64_t> BroadcastStrides(const Tensor& t, const Shape& out) {
  const size_t rank = t.rank(), lead = out.size() - rank;
  std::vector<int64_t> own = PlainStrides(t.shape());
  if (t.layout() == Layout::kChannelsLast && rank >= 3) {
    const int64_t channels = t.dim(1);
    for (size_t i = 2; i < rank; ++i) own[i] *= channels;
    own[1] = 1;
  }
  std::vector<int64_t> strides(out.size(), 0);
  for (size_t i = 0; i < rank; ++i)
    if (t.dim(i) != 1) strides[lead + i] = own[i];
  return strides;
}

Tensor BroadcastWith(const Tensor& t, const Shape& other, const Threads& threads) {
  const Shape shape = BroadcastShape(t.shape(), other);
  if (shape == t.shape()) return t;
  Tensor wide(t.dtype(), shape);
  CopyStrided(t.raw(), shape, BroadcastStrides(t, shape), wide.raw(), SizeOf(t.dtype()), threads);
  return wide;
}

Layout BroadcastLayout(std::span<const Tensor* const> inputs, const Shape& out) {
  for (const Tensor* t : inputs)
    if (t->shape() == out) return t->layout();
  return Layout::kPlain;
}

Tensor TakeOrMakeOutput(OpContext& ctx, size_t candidates, DType dtype, const Shape& shape,
                        Layout layout) {
  for (size_t i = 0; i < std::min(candidates, ctx.in.size()); ++i) {
    const Tensor& t = ctx.in[i];
    if (t.dtype() == dtype && t.shape() == shape && t.layout() == layout && !ctx.constant[i] &&
        t.unique())
      return ctx.TakeOrMake(i, dtype);
  }
  return Tensor(dtype, shape, layout);
}

}  // namespace mezzo
