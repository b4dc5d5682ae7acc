// Remainders, powers and bits.
#include <cmath>

#include "mezzo/runtime/ops/map.h"

namespace mezzo {
namespace {

// fmod = 0: the sign of the divisor, as in Python.
struct ModFloorOp {
  template <class T>
  requires std::is_arithmetic_v<T> T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      const T r = std::fmod(a, b);
      return r != 0 && (r < 0) != (b < 0) ? r + b : r;
    } else {
      Require(b != 0, "remainder by zero");
      if constexpr (std::is_signed_v<T>)
        if (b == static_cast<T>(-1)) return 0;
      const T r = static_cast<T>(a % b);
      return r != 0 && (r < 0) != (b < 0) ? static_cast<T>(r + b) : r;
    }
  }
};
// fmod = 1: the sign of the dividend, as in C.
struct ModTruncateOp {
  template <class T>
  requires std::is_arithmetic_v<T> T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return std::fmod(a, b);
    } else {
      Require(b != 0, "remainder by zero");
      if constexpr (std::is_signed_v<T>)
        if (b == static_cast<T>(-1)) return 0;
      return static_cast<T>(a % b);
    }
  }
};

// Calls f.operator()<T>() unless the type is bool, or a real one where these are not allowed.
template <bool kAllowReal, class F>
Tensor WithNumber(DType dtype, F&& f) {
  return WithType(dtype, [&]<class T>() -> Tensor {
    if constexpr (std::is_same_v<T, bool> || (!kAllowReal && std::is_floating_point_v<T>))
      throw UsageError(Cat("element type ", Name(DTypeOf<T>::value), " is not supported here"));
    else
      return f.template operator()<T>();
  });
}

void Mod(OpContext& ctx) {
  const bool truncate = ctx.node.Int("fmod", 0) != 0;
  ctx.out[0] = WithNumber<true>(ctx.in[0].dtype(), [&]<class T>() {
    return truncate ? BinaryMap<T, T>(ctx, ModTruncateOp{}) : BinaryMap<T, T>(ctx, ModFloorOp{});
  });
}

// Wraps around on overflow; a negative exponent gives 1, -1 or 0.
template <class T>
T IntegerPower(T base, T exponent) {
  if constexpr (std::is_signed_v<T>)
    if (exponent < 0)
      return base == 1                    ? 1
             : base == static_cast<T>(-1) ? (exponent % 2 ? static_cast<T>(-1) : 1)
                                          : 0;
  uint64_t result = 1, b = static_cast<uint64_t>(base);
  for (uint64_t e = exponent; e; e >>= 1, b *= b)
    if (e & 1) result *= b;
  return static_cast<T>(result);
}

Tensor RealPower(OpContext& ctx, DType type) {
  ctx.in[0] = Cast(ctx.in[0], type);
  ctx.in[1] = Cast(ctx.in[1], type);
  return WithReal(type, [&]<class T>() {
    return BinaryMap<T, T>(ctx, [](T a, T b) {
      return b == T(2) ? a * a : b == T(0.5) ? std::sqrt(a) : std::pow(a, b);
    });
  });
}

// The result has the type of the base; an integer to a real power is computed in double.
void Pow(OpContext& ctx) {
  const DType base = ctx.in[0].dtype(), exponent = ctx.in[1].dtype();
  const auto is_real = [](DType t) { return t == DType::kFloat32 || t == DType::kFloat64; };
  if (is_real(base)) {
    ctx.out[0] = RealPower(ctx, base);
  } else if (is_real(exponent)) {
    ctx.out[0] = Cast(RealPower(ctx, DType::kFloat64), base);
  } else {
    ctx.in[1] = Cast(ctx.in[1], base);
    ctx.out[0] =
        WithNumber<false>(base, [&]<class T>() { return BinaryMap<T, T>(ctx, IntegerPower<T>); });
  }
}

void BitShift(OpContext& ctx) {
  const std::string direction = ctx.node.String("direction", "");
  Require(direction == "LEFT" || direction == "RIGHT", "direction is \"", direction,
          "\", needs LEFT or RIGHT");
  const bool left = direction == "LEFT";
  ctx.out[0] = WithNumber<false>(ctx.in[0].dtype(), [&]<class T>() {
    return BinaryMap<T, T>(ctx, [left](T a, T b) -> T {
      // beyond the width, also for a negative distance, only the sign is left
      if (static_cast<uint64_t>(b) >= 8 * sizeof(T)) return !left && a < 0 ? static_cast<T>(-1) : 0;
      return left ? static_cast<T>(static_cast<uint64_t>(a) << b) : static_cast<T>(a >> b);
    });
  });
}

template <class F>
void Bitwise(OpContext& ctx) {
  ctx.out[0] =
      WithNumber<false>(ctx.in[0].dtype(), [&]<class T>() { return BinaryMap<T, T>(ctx, F{}); });
}

void BitwiseNot(OpContext& ctx) {
  ctx.out[0] = WithNumber<false>(ctx.in[0].dtype(), [&]<class T>() {
    Tensor out = ctx.TakeOrMake(0, ctx.in[0].dtype());
    const T* x = ctx.in[0].data<T>();
    for (int64_t i = 0; i < out.numel(); ++i) out.data<T>()[i] = static_cast<T>(~x[i]);
    return out;
  });
}

struct AndOp {
  template <class T>
  requires std::is_arithmetic_v<T> T operator()(T a, T b) const { return static_cast<T>(a & b); }
};
struct OrOp {
  template <class T>
  requires std::is_arithmetic_v<T> T operator()(T a, T b) const { return static_cast<T>(a | b); }
};
struct XorOp {
  template <class T>
  requires std::is_arithmetic_v<T> T operator()(T a, T b) const { return static_cast<T>(a ^ b); }
};

}  // namespace

void AddIntegerMath(OpTable& table) {
  table.Add("Mod", &ViaFloat<&Mod>, true);
  table.Add("Pow", &ViaFloat<&Pow>, true);
  table.Add("BitShift", &BitShift, true);
  table.Add("BitwiseAnd", &Bitwise<AndOp>, true);
  table.Add("BitwiseOr", &Bitwise<OrOp>, true);
  table.Add("BitwiseXor", &Bitwise<XorOp>, true);
  table.Add("BitwiseNot", &BitwiseNot, true);
}

}  // namespace mezzo
