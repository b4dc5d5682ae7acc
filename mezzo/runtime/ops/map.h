// Elementwise operators as functors: unary ones over real numbers, binary ones over any type.
#pragma once

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/broadcast.h"

namespace mezzo {

// A functor may be built from the node, to read its attributes.
template <class F>
F MakeFunctor(const Node& node) {
  if constexpr (std::is_constructible_v<F, const Node&>)
    return F(node);
  else
    return F{};
}

// y[i] = f(x[i]) for n floats or doubles. Floats take the step that the functor names, or its form
// for vectors, if it has one, else the form for double, rounded.
template <class T, class F>
void MapReal(const T* x, T* y, size_t n, const F& f) {
  if constexpr (std::is_same_v<T, float> && requires { F::kStep; }) {
    const vmath::Step step{F::kStep};
    vmath::RunSteps({&step, 1}, x, y, n);
  } else if constexpr (std::is_same_v<T, float> && std::is_invocable_v<const F&, vmath::F8>)
    vmath::Map(x, y, n, f);
  else
    for (size_t i = 0; i < n; ++i) y[i] = static_cast<T>(f(static_cast<double>(x[i])));
}

// The operator y = F(x), for float and double.
template <class F>
void RealUnary(OpContext& ctx) {
  const F f = MakeFunctor<F>(ctx.node);
  ctx.out[0] = ctx.TakeOrMake(0, ctx.in[0].dtype());
  WithReal(ctx.in[0].dtype(), [&]<class T>() {
    const T* x = ctx.in[0].data<T>();
    T* y = ctx.out[0].data<T>();
    ctx.threads.For(ctx.in[0].numel(), kGrain, [&](size_t begin, size_t end) {
      MapReal(x + begin, y + begin, end - begin, f);
    });
  });
}

// The operator y = F(x), for all numbers; F is a template over scalars and vectors.
template <class F>
void NumberUnary(OpContext& ctx) {
  ctx.out[0] = ctx.TakeOrMake(0, ctx.in[0].dtype());
  WithType(ctx.in[0].dtype(), [&]<class T>() {
    const T* x = ctx.in[0].data<T>();
    T* y = ctx.out[0].data<T>();
    ctx.threads.For(ctx.in[0].numel(), kGrain, [&](size_t begin, size_t end) {
      if constexpr (std::is_same_v<T, float>)
        vmath::Map(x + begin, y + begin, end - begin, F{});
      else
        for (size_t i = begin; i < end; ++i) y[i] = F{}(x[i]);
    });
  });
}

// One row of y = f(a, b): strides are in elements, 0 for a scalar. `R` may differ from `T`.
template <class T, class R, class F>
void BinaryRow(const T* a, int64_t sa, const T* b, int64_t sb, R* y, int64_t n, const F& f) {
  if constexpr (std::is_same_v<T, float> && std::is_same_v<R, float> &&
                std::is_invocable_v<const F&, vmath::F8, vmath::F8>) {
    if (sa == 1 && sb == 1) return vmath::Map2(a, b, y, n, f);
    if (sa == 1 && sb == 0) {
      const vmath::F8 s = vmath::Splat(*b);
      return vmath::Map(a, y, n, [&](vmath::F8 v) { return f(v, s); });
    }
    if (sa == 0 && sb == 1) {
      const vmath::F8 s = vmath::Splat(*a);
      return vmath::Map(b, y, n, [&](vmath::F8 v) { return f(s, v); });
    }
  }
  for (int64_t i = 0; i < n; ++i) y[i] = f(a[i * sa], b[i * sb]);
}

// Inputs 0 and 1 for a loop over their common shape: a full-sized input is brought to the layout of
// the result, so that it is read in order.
struct BinaryOperands {
  Shape shape;
  Layout layout;

  explicit BinaryOperands(OpContext& ctx) {
    Require(ctx.Has(0) && ctx.Has(1), "needs two inputs");
    Require(ctx.in[0].dtype() == ctx.in[1].dtype(), "inputs are ", Name(ctx.in[0].dtype()), " and ",
            Name(ctx.in[1].dtype()), ", which must be the same");
    shape = BroadcastShape(ctx.in[0].shape(), ctx.in[1].shape());
    const Tensor* both[] = {&ctx.in[0], &ctx.in[1]};
    layout = BroadcastLayout(both, shape);
    for (size_t i = 0; i < 2; ++i)
      if (ctx.in[i].shape() == shape) ctx.in[i] = ctx.in[i].ToLayout(layout);
  }
};

// The result of f over inputs 0 and 1, which are of type T; of type R.
template <class T, class R, class F>
Tensor BinaryMap(OpContext& ctx, const F& f) {
  const BinaryOperands operands(ctx);
  const BroadcastWalk<2> walk(operands.shape, operands.layout, {&ctx.in[0], &ctx.in[1]});
  const T* a = std::as_const(ctx.in[0]).data<T>();
  const T* b = std::as_const(ctx.in[1]).data<T>();
  Tensor out = TakeOrMakeOutput(ctx, 2, DTypeOf<R>::value, operands.shape, operands.layout);
  R* y = out.data<R>();
  walk.Run(ctx.threads, [&](int64_t at, const auto& offset, const auto& stride, int64_t n) {
    BinaryRow(a + offset[0], stride[0], b + offset[1], stride[1], y + at, n, f);
  });
  return out;
}

// Parts of the families of elementwise operators that have files of their own.
void AddUnaryMath(OpTable& table);
void AddIntegerMath(OpTable& table);

}  // namespace mezzo
