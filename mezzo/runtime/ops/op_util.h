// What many operators need: axes, element sizes, and running a float operator on half floats.
#pragma once

#include <algorithm>
#include <numeric>
#include <utility>

#include "mezzo/runtime/op.h"

namespace mezzo {

// Elements that one thread should have at least.
inline constexpr size_t kGrain = 16384;

// `axis` counted from the front. Throws UsageError if it is not in [-rank, rank).
inline size_t NormalAxis(int64_t axis, size_t rank) {
  const auto r = static_cast<int64_t>(rank);
  Require(axis >= -r && axis < r, "axis ", axis, " is out of range for rank ", rank);
  return static_cast<size_t>(axis < 0 ? axis + r : axis);
}

// One flag per dimension; empty `axes` set none. Throws UsageError on an axis named twice.
inline std::vector<char> AxisFlags(const std::vector<int64_t>& axes, size_t rank) {
  std::vector<char> flags(rank, 0);
  for (const int64_t a : axes)
    Require(!std::exchange(flags[NormalAxis(a, rank)], 1), "axis ", a, " is given twice");
  return flags;
}

// A shape seen from one axis: (outer, length, inner).
struct AxisView {
  int64_t outer = 1, length = 1, inner = 1;
  AxisView(const Shape& shape, size_t axis) {
    for (size_t i = 0; i < axis; ++i) outer *= shape[i];
    length = shape[axis];
    for (size_t i = axis + 1; i < shape.size(); ++i) inner *= shape[i];
  }
};

// In elements, of the plain layout.
inline std::vector<int64_t> PlainStrides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t s = 1;
  for (size_t i = shape.size(); i-- > 0; s *= shape[i]) strides[i] = s;
  return strides;
}

// Calls f.operator()<U>() with the unsigned type of `size` bytes (1, 2, 4 or 8).
template <class F>
decltype(auto) WithSize(size_t size, F&& f) {
  switch (size) {
    case 1:
      return f.template operator()<uint8_t>();
    case 2:
      return f.template operator()<uint16_t>();
    case 4:
      return f.template operator()<uint32_t>();
    default:
      return f.template operator()<uint64_t>();
  }
}

// Calls f.operator()<T>() for float and double; throws UsageError for all else.
template <class F>
decltype(auto) WithReal(DType t, F&& f) {
  Require(t == DType::kFloat32 || t == DType::kFloat64, "element type ", Name(t),
          " is not supported here");
  if (t == DType::kFloat32) return f.template operator()<float>();
  return f.template operator()<double>();
}

inline bool IsHalf(DType t) { return t == DType::kFloat16 || t == DType::kBFloat16; }

// Runs `run` on float copies of its float16 or bfloat16 inputs, and gives its float results that
// type again. Operators without such inputs are not touched.
template <OpFn run>
void ViaFloat(OpContext& ctx) {
  DType half = DType::kNone;
  for (Tensor& t : ctx.in) {
    if (!IsHalf(t.dtype())) continue;
    half = t.dtype();
    t = Cast(t, DType::kFloat32);
  }
  run(ctx);
  if (half == DType::kNone) return;
  for (Tensor& t : ctx.out)
    if (t.dtype() == DType::kFloat32) t = Cast(t, half);
}

}  // namespace mezzo
