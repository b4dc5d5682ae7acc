// Functions of one number, and Clip.
#include <cmath>
#include <limits>

#include "mezzo/runtime/ops/map.h"

namespace mezzo {
namespace {

using vmath::F8;

struct AbsOp {
  template <class V>
  V operator()(V x) const {
    if constexpr (std::is_same_v<V, F8>)
      return vmath::Abs(x);
    else if constexpr (std::is_floating_point_v<V>)
      return std::fabs(x);
    else
      return x < V{} ? static_cast<V>(0 - static_cast<uint64_t>(x)) : x;
  }
};
struct NegOp {
  template <class V>
  V operator()(V x) const {
    if constexpr (std::is_integral_v<V>)
      return static_cast<V>(0 - static_cast<uint64_t>(x));
    else
      return -x;
  }
};
struct SignOp {
  template <class V>
  V operator()(V x) const {
    if constexpr (std::is_same_v<V, F8>)
      return x > 0.0f ? vmath::Splat(1.0f) : x < 0.0f ? vmath::Splat(-1.0f) : x;
    else
      return x > V{} ? V(1) : x < V{} ? static_cast<V>(-1) : x;
  }
};

struct SqrtOp {
  F8 operator()(F8 x) const { return vmath::Sqrt(x); }
  double operator()(double x) const { return std::sqrt(x); }
};
struct ExpOp {
  static constexpr auto kStep = vmath::Step::Kind::kExp;
  double operator()(double x) const { return std::exp(x); }
};
struct ErfOp {
  static constexpr auto kStep = vmath::Step::Kind::kErf;
  double operator()(double x) const { return std::erf(x); }
};
struct ReciprocalOp {
  F8 operator()(F8 x) const { return 1.0f / x; }
  double operator()(double x) const { return 1 / x; }
};
struct FloorOp {
  F8 operator()(F8 x) const { return vmath::Floor(x); }
  double operator()(double x) const { return std::floor(x); }
};
struct CeilOp {
  F8 operator()(F8 x) const { return vmath::Ceil(x); }
  double operator()(double x) const { return std::ceil(x); }
};
struct RoundOp {  // halves to even
  F8 operator()(F8 x) const { return vmath::RoundEven(x); }
  double operator()(double x) const { return std::nearbyint(x); }
};

template <class T>
T Bound(const OpContext& ctx, size_t input, T none) {
  if (!ctx.Has(input)) return none;
  Require(ctx.in[input].numel() == 1, "the bound has shape ", ToString(ctx.in[input].shape()),
          ", needs one element");
  return *std::as_const(ctx.in[input]).data<T>();
}

// min(max(x, low), high): where low > high, high wins.
void Clip(OpContext& ctx) {
  ctx.out[0] = ctx.TakeOrMake(0, ctx.in[0].dtype());
  WithType(ctx.in[0].dtype(), [&]<class T>() {
    using Limits = std::numeric_limits<T>;
    const T low = Bound<T>(ctx, 1, Limits::has_infinity ? -Limits::infinity() : Limits::lowest());
    const T high = Bound<T>(ctx, 2, Limits::has_infinity ? Limits::infinity() : Limits::max());
    const T* x = ctx.in[0].data<T>();
    T* y = ctx.out[0].data<T>();
    ctx.threads.For(ctx.in[0].numel(), kGrain, [&](size_t begin, size_t end) {
      if constexpr (std::is_same_v<T, float>)
        vmath::Map(x + begin, y + begin, end - begin, [&](F8 v) {
          v = v < low ? vmath::Splat(low) : v;
          return v > high ? vmath::Splat(high) : v;
        });
      else
        for (size_t i = begin; i < end; ++i) {
          const T v = x[i] < low ? low : x[i];
          y[i] = v > high ? high : v;
        }
    });
  });
}

template <class F>
void AddReal(OpTable& table, const char* name, F) {
  table.Add(name, &ViaFloat<&RealUnary<F>>, true);
}
template <class F>
void AddNumber(OpTable& table, const char* name, F) {
  table.Add(name, &ViaFloat<&NumberUnary<F>>, true);
}

}  // namespace

void AddUnaryMath(OpTable& table) {
  AddNumber(table, "Abs", AbsOp{});
  AddNumber(table, "Neg", NegOp{});
  AddNumber(table, "Sign", SignOp{});
  AddReal(table, "Sqrt", SqrtOp{});
  AddReal(table, "Exp", ExpOp{});
  AddReal(table, "Erf", ErfOp{});
  AddReal(table, "Reciprocal", ReciprocalOp{});
  AddReal(table, "Floor", FloorOp{});
  AddReal(table, "Ceil", CeilOp{});
  AddReal(table, "Round", RoundOp{});
  AddReal(table, "Log", [](double x) { return std::log(x); });
  AddReal(table, "Sin", [](double x) { return std::sin(x); });
  AddReal(table, "Cos", [](double x) { return std::cos(x); });
  AddReal(table, "Tan", [](double x) { return std::tan(x); });
  AddReal(table, "Asin", [](double x) { return std::asin(x); });
  AddReal(table, "Acos", [](double x) { return std::acos(x); });
  AddReal(table, "Atan", [](double x) { return std::atan(x); });
  AddReal(table, "Sinh", [](double x) { return std::sinh(x); });
  AddReal(table, "Cosh", [](double x) { return std::cosh(x); });
  AddReal(table, "Asinh", [](double x) { return std::asinh(x); });
  AddReal(table, "Acosh", [](double x) { return std::acosh(x); });
  AddReal(table, "Atanh", [](double x) { return std::atanh(x); });
  table.Add("Clip", &ViaFloat<&Clip>, true);
}

}  // namespace mezzo
