// Comparisons, boolean logic, Where.
#include <cmath>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/map.h"

namespace mezzo {
namespace {

struct EqualOp {
  template <class T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct GreaterOp {
  template <class T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterOrEqualOp {
  template <class T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct LessOp {
  template <class T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessOrEqualOp {
  template <class T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct AndOp {
  bool operator()(bool a, bool b) const { return a & b; }
};
struct OrOp {
  bool operator()(bool a, bool b) const { return a | b; }
};
struct XorOp {
  bool operator()(bool a, bool b) const { return a != b; }
};

template <class F>
void Compare(OpContext& ctx) {
  ctx.out[0] = WithType(ctx.in[0].dtype(), [&]<class T>() {
    return BinaryMap<T, bool>(ctx, [](T a, T b) { return F{}(a, b); });
  });
}

template <class F>
void Logical(OpContext& ctx) {
  ctx.out[0] = BinaryMap<bool, bool>(ctx, F{});
}

void Not(OpContext& ctx) {
  const bool* x = std::as_const(ctx.in[0]).data<bool>();
  ctx.out[0] = ctx.TakeOrMake(0, DType::kBool);
  for (int64_t i = 0; i < ctx.in[0].numel(); ++i) ctx.out[0].data<bool>()[i] = !x[i];
}

template <class Test>
void TestReal(OpContext& ctx, const Test& test) {
  const Tensor& x = ctx.in[0];
  ctx.out[0] = Tensor(DType::kBool, x.shape(), x.layout());
  WithReal(x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < x.numel(); ++i) ctx.out[0].data<bool>()[i] = test(x.data<T>()[i]);
  });
}

void IsNaN(OpContext& ctx) {
  TestReal(ctx, [](auto x) { return std::isnan(x); });
}

void IsInf(OpContext& ctx) {
  const bool negative = ctx.node.Int("detect_negative", 1),
             positive = ctx.node.Int("detect_positive", 1);
  TestReal(ctx, [=](auto x) { return std::isinf(x) && (x < 0 ? negative : positive); });
}

// Moves elements, so any type will do.
void Where(OpContext& ctx) {
  for (size_t i = 0; i < 3; ++i) Require(ctx.Has(i), "needs input ", i);
  const DType dtype = ctx.in[1].dtype();
  Require(ctx.in[2].dtype() == dtype, "inputs are ", Name(dtype), " and ", Name(ctx.in[2].dtype()),
          ", which must be the same");
  const Tensor &condition = ctx.in[0], &a = ctx.in[1], &b = ctx.in[2];
  const Shape shape = BroadcastShape(condition.shape(), BroadcastShape(a.shape(), b.shape()));
  const Tensor* values[] = {&a, &b, &condition};
  const Layout layout = BroadcastLayout(values, shape);
  const BroadcastWalk<3> walk(shape, layout, {&condition, &a, &b});
  const bool* choose = condition.data<bool>();
  ctx.out[0] = Tensor(dtype, shape, layout);
  WithSize(SizeOf(dtype), [&]<class U>() {
    const auto *from_a = static_cast<const U*>(a.raw()), *from_b = static_cast<const U*>(b.raw());
    auto* to = static_cast<U*>(ctx.out[0].raw());
    walk.Run(ctx.threads, [&](int64_t y, const auto& o, const auto& s, int64_t n) {
      for (int64_t i = 0; i < n; ++i)
        to[y + i] = choose[o[0] + i * s[0]] ? from_a[o[1] + i * s[1]] : from_b[o[2] + i * s[2]];
    });
  });
}

}  // namespace

void AddLogic(OpTable& table) {
  table.Add("Equal", &ViaFloat<&Compare<EqualOp>>, true);
  table.Add("Greater", &ViaFloat<&Compare<GreaterOp>>, true);
  table.Add("GreaterOrEqual", &ViaFloat<&Compare<GreaterOrEqualOp>>, true);
  table.Add("Less", &ViaFloat<&Compare<LessOp>>, true);
  table.Add("LessOrEqual", &ViaFloat<&Compare<LessOrEqualOp>>, true);
  table.Add("And", &Logical<AndOp>, true);
  table.Add("Or", &Logical<OrOp>, true);
  table.Add("Xor", &Logical<XorOp>, true);
  table.Add("Not", &Not, true);
  table.Add("IsNaN", &ViaFloat<&IsNaN>, true);
  table.Add("IsInf", &ViaFloat<&IsInf>, true);
  table.Add("Where", &Where, true);
}

}  // namespace mezzo
