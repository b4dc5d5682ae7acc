// ConstantOfShape, Range, EyeLike.
#include "mezzo/runtime/ops/generate.h"

#include <cmath>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

void ConstantOfShape(OpContext& ctx) {
  const Tensor* value = ctx.node.TensorAttribute("value");
  Require(!value || value->numel() == 1, "value must hold one element");
  const Tensor& shape = ctx.Plain(0);
  ctx.out[0] = Tensor(value ? value->dtype() : DType::kFloat32, ToInts(shape));
  WithSize(SizeOf(ctx.out[0].dtype()), [&]<class U>() {
    const U fill = value ? *static_cast<const U*>(value->raw()) : U{};
    std::fill_n(static_cast<U*>(ctx.out[0].raw()), ctx.out[0].numel(), fill);
  });
}

// start + i * delta, for as long as it is before limit.
void Range(OpContext& ctx) {
  const DType dtype = ctx.Plain(0).dtype();
  for (size_t i = 0; i < 3; ++i)
    Require(ctx.Plain(i).numel() == 1 && ctx.in[i].dtype() == dtype,
            "start, limit and delta must be scalars of one type");
  WithType(dtype, [&]<class T>() {
    const T start = *std::as_const(ctx.in[0]).data<T>();
    const T limit = *std::as_const(ctx.in[1]).data<T>();
    const T delta = *std::as_const(ctx.in[2]).data<T>();
    Require(delta != T{}, "delta is 0");
    const double steps =
        (static_cast<double>(limit) - static_cast<double>(start)) / static_cast<double>(delta);
    const int64_t n = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(steps)));
    ctx.out[0] = Tensor(dtype, {n});
    for (int64_t i = 0; i < n; ++i)
      ctx.out[0].data<T>()[i] = static_cast<T>(start + static_cast<T>(i) * delta);
  });
}

void EyeLike(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  Require(x.rank() == 2, "the input has shape ", ToString(x.shape()), ", needs rank 2");
  const auto dtype = static_cast<DType>(ctx.node.Int("dtype", static_cast<int>(x.dtype())));
  const int64_t k = ctx.node.Int("k", 0);
  Tensor eye = Tensor::Zeros(DType::kBool, x.shape());
  for (int64_t i = 0; i < x.dim(0); ++i)
    if (i + k >= 0 && i + k < x.dim(1)) eye.data<bool>()[i * x.dim(1) + i + k] = true;
  ctx.out[0] = Cast(eye, dtype);
}

}  // namespace

void AddGenerate(OpTable& table) {
  table.Add("ConstantOfShape", &ConstantOfShape);
  table.Add("Range", &ViaFloat<&Range>);
  table.Add("EyeLike", &EyeLike);
  AddRandom(table);
  AddSignal(table);
}

}  // namespace mezzo
