// Arithmetic with broadcasting: two inputs, or any number folded from the left.
#include <cmath>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/map.h"

namespace mezzo {
namespace {

using vmath::F8;

// Each takes two scalars of any numeric type, or two vectors.
struct AddOp {
  template <class V>
  V operator()(V a, V b) const {
    return static_cast<V>(a + b);
  }
};
struct SubOp {
  template <class V>
  V operator()(V a, V b) const {
    return static_cast<V>(a - b);
  }
};
struct MulOp {
  template <class V>
  V operator()(V a, V b) const {
    return static_cast<V>(a * b);
  }
};
struct DivOp {
  template <class V>
  V operator()(V a, V b) const {
    if constexpr (std::is_integral_v<V>) {
      Require(b != 0, "division of an integer by zero");
      if constexpr (std::is_signed_v<V>)
        if (b == static_cast<V>(-1)) return static_cast<V>(0 - static_cast<uint64_t>(a));
    }
    return static_cast<V>(a / b);
  }
};
// NaN wins, as in NumPy.
struct MaxOp {
  template <class V>
  V operator()(V a, V b) const {
    return ((a > b) | (a != a)) ? a : b;
  }
};
struct MinOp {
  template <class V>
  V operator()(V a, V b) const {
    return ((a < b) | (a != a)) ? a : b;
  }
};

template <class F>
Tensor Combine(OpContext& ctx) {
  return WithType(ctx.in[0].dtype(), [&]<class T>() -> Tensor {
    if constexpr (std::is_same_v<T, bool>)
      throw UsageError("no arithmetic on bool");
    else
      return BinaryMap<T, T>(ctx, F{});
  });
}

template <class F>
void Binary(OpContext& ctx) {
  ctx.out[0] = Combine<F>(ctx);
}

// in[0] F in[1] F in[2] ...
template <class F>
void Fold(OpContext& ctx) {
  for (size_t i = 1; i < ctx.in.size(); ++i) {
    if (i > 1) ctx.in[1] = std::move(ctx.in[i]);
    ctx.in[0] = Combine<F>(ctx);
  }
  ctx.out[0] = ctx.in[0];
}

void Mean(OpContext& ctx) {
  const auto count = static_cast<double>(ctx.in.size());
  Fold<AddOp>(ctx);
  Tensor sum = std::move(ctx.out[0]);
  ctx.out[0] = Tensor(sum.dtype(), sum.shape(), sum.layout());
  WithReal(sum.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < sum.numel(); ++i)
      ctx.out[0].data<T>()[i] = sum.data<T>()[i] / static_cast<T>(count);
  });
}

struct PReluOp {
  template <class V>
  V operator()(V x, V slope) const {
    if constexpr (std::is_same_v<V, F8>)
      return x < 0.0f ? x * slope : x;
    else
      return x < V{} ? static_cast<V>(x * slope) : x;
  }
};

template <class F>
void AddBinary(OpTable& table, const char* name) {
  table.Add(name, &ViaFloat<&Binary<F>>, true);
}
template <class F>
void AddFold(OpTable& table, const char* name) {
  table.Add(name, &ViaFloat<&Fold<F>>, true);
}

}  // namespace

void AddElementwise(OpTable& table) {
  AddBinary<AddOp>(table, "Add");
  AddBinary<SubOp>(table, "Sub");
  AddBinary<MulOp>(table, "Mul");
  AddBinary<DivOp>(table, "Div");
  AddBinary<PReluOp>(table, "PRelu");
  AddFold<MaxOp>(table, "Max");
  AddFold<MinOp>(table, "Min");
  AddFold<AddOp>(table, "Sum");
  table.Add("Mean", &ViaFloat<&Mean>, true);
  AddUnaryMath(table);
  AddIntegerMath(table);
}

}  // namespace mezzo
