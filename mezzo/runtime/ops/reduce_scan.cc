// Along one axis: ArgMax, ArgMin, CumSum, CumProd.
#include <cmath>

#include "mezzo/runtime/ops/op_util.h"
#include "mezzo/runtime/ops/reduce.h"

namespace mezzo {
namespace {

// The first (or last) index whose element beats all others. NaN beats everything.
template <bool kMax>
void ArgBest(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const size_t axis = NormalAxis(ctx.node.Int("axis", 0), x.rank());
  const bool last = ctx.node.Int("select_last_index", 0) != 0;
  const AxisView v(x.shape(), axis);
  Require(v.length > 0 || x.numel() > 0, "the axis is empty");
  Shape shape = x.shape();
  shape[axis] = 1;
  if (!ctx.node.Int("keepdims", 1)) shape.erase(shape.begin() + static_cast<int64_t>(axis));
  ctx.out[0] = Tensor(DType::kInt64, shape);
  WithType(x.dtype(), [&]<class T>() {
    for (int64_t r = 0; r < v.outer * v.inner; ++r) {
      const T* row = x.data<T>() + r / v.inner * v.length * v.inner + r % v.inner;
      int64_t best = 0;
      T value = row[0];
      for (int64_t i = 1; i < v.length; ++i) {
        const T candidate = row[i * v.inner];
        const bool better = (kMax ? candidate > value : candidate < value) ||
                            (candidate != candidate && value == value);
        if (!better && !(last && candidate == value)) continue;
        best = i;
        value = candidate;
      }
      ctx.out[0].data<int64_t>()[r] = best;
    }
  });
}

struct Plus {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};
struct Times {
  template <class T>
  T operator()(T a, T b) const {
    return static_cast<T>(a * b);
  }
};

// y[i] = x[0] F ... F x[i]; exclusive: without x[i]; reverse: from the end.
template <class F, int kStart>
void Cumulate(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const std::vector<int64_t> axes = ToInts(ctx.Plain(1));
  Require(axes.size() == 1, "the axis has shape ", ToString(ctx.in[1].shape()));
  const AxisView v(x.shape(), NormalAxis(axes[0], x.rank()));
  const bool exclusive = ctx.node.Int("exclusive", 0) != 0;
  const bool reverse = ctx.node.Int("reverse", 0) != 0;
  ctx.out[0] = Tensor(x.dtype(), x.shape());
  WithType(x.dtype(), [&]<class T>() {
    const T* from = x.data<T>();
    T* to = ctx.out[0].data<T>();
    for (int64_t r = 0; r < v.outer * v.inner; ++r) {
      const int64_t base = r / v.inner * v.length * v.inner + r % v.inner;
      T sum = static_cast<T>(kStart);
      for (int64_t i = 0; i < v.length; ++i) {
        const int64_t at = base + (reverse ? v.length - 1 - i : i) * v.inner;
        const T next = F{}(sum, from[at]);
        to[at] = exclusive ? sum : next;
        sum = next;
      }
    }
  });
}

}  // namespace

void AddScans(OpTable& table) {
  table.Add("ArgMax", &ViaFloat<&ArgBest<true>>);
  table.Add("ArgMin", &ViaFloat<&ArgBest<false>>);
  table.Add("CumSum", &ViaFloat<&Cumulate<Plus, 0>>);
  table.Add("CumProd", &ViaFloat<&Cumulate<Times, 1>>);
}

}  // namespace mezzo
