// QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear: value = scale * (code - zero_point),
// rounding half to even, saturating.
#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

// Which scale an element uses: x seen as (outer, length, inner), and the scales as (outer,
// length / block, inner), (length) or one.
struct Grid {
  int64_t outer = 1, length = 1, inner = 1;
  int64_t block = 0;  // 0: per tensor; < 0: per axis

  int64_t Scale(int64_t o, int64_t k) const {
    return block == 0 ? 0 : block < 0 ? k : (o * (length / block) + k / block) * inner;
  }
  int64_t Step() const { return block > 0 ? 1 : 0; }  // from one inner element to the next
};

Grid ReadGrid(const Node& node, const Shape& x, const Tensor& scale) {
  if (scale.numel() == 1 && scale.rank() <= 1 && node.Int("block_size", 0) == 0)
    return {1, 1, NumElements(x), 0};
  const size_t axis = NormalAxis(node.Int("axis", 1), x.size());
  const AxisView v(x, axis);
  if (scale.rank() <= 1) {
    Require(scale.numel() == v.length, node.op_type, " ", node.name, ": ", scale.numel(),
            " scales for axis ", axis, " of ", ToString(x));
    return {v.outer, v.length, v.inner, -1};
  }
  const int64_t block = node.Int("block_size", 0);
  Shape want = x;
  if (block > 0) want[axis] = (x[axis] + block - 1) / block;
  Require(block > 0 && scale.shape() == want, node.op_type, " ", node.name, ": scales ",
          ToString(scale.shape()), " in blocks of ", block, " for an input ", ToString(x));
  Require(x[axis] % block == 0, node.op_type, " ", node.name, ": axis ", axis, " of ", ToString(x),
          " is no multiple of block_size ", block);
  return {v.outer, v.length, v.inner, block};
}

// Calls row(offset, count, scale index, scale step) for stretches along `inner`.
template <class Row>
void ForRows(const Grid& g, const Threads& threads, Row&& row) {
  if (g.block == 0)
    return threads.For(g.inner, kGrain, [&](size_t begin, size_t end) {
      row(static_cast<int64_t>(begin), static_cast<int64_t>(end - begin), 0, 0);
    });
  threads.For(g.outer * g.length, 1 + kGrain / (g.inner + 1), [&](size_t begin, size_t end) {
    for (int64_t r = begin; r < static_cast<int64_t>(end); ++r)
      row(r * g.inner, g.inner, g.Scale(r / g.length, r % g.length), g.Step());
  });
}

template <class Code>
Code Encode(float x, float scale, Code zero) {
  const float q = std::nearbyint(x / scale) + static_cast<float>(zero);
  constexpr auto kLow = static_cast<float>(std::numeric_limits<Code>::min()),
                 kHigh = static_cast<float>(std::numeric_limits<Code>::max());
  return static_cast<Code>(std::isnan(q) ? zero : std::clamp(q, kLow, kHigh));
}

// Encode for a whole row with one scale.
template <class Code>
void EncodeRow(const float* x, int64_t n, float scale, Code zero, Code* y) {
  if constexpr (sizeof(Code) == 1)
    Quantize(x, {scale, zero, std::is_signed_v<Code>}, reinterpret_cast<uint8_t*>(y),
             static_cast<size_t>(n));
  else
    for (int64_t i = 0; i < n; ++i) y[i] = Encode(x[i], scale, zero);
}

// scale * (code - zero) for a whole row with one scale.
template <class Code>
void DecodeRow(const Code* x, int64_t n, float scale, Code zero, float* y) {
  Dequantize(reinterpret_cast<const uint8_t*>(x), {scale, zero, std::is_signed_v<Code>}, y,
             static_cast<size_t>(n));
}

// A tensor under one scale lies as it likes, others in the plain layout.
const Tensor& Laid(OpContext& ctx) {
  Require(ctx.Has(0) && ctx.Has(1), ctx.node.op_type, " ", ctx.node.name, " needs inputs 0 and 1");
  return ctx.in[1].numel() == 1 && ctx.in[1].rank() <= 1 ? ctx.in[0] : ctx.Plain(0);
}

// The four code types that QuantizeLinear writes.
template <class F>
void WithCode(const Node& node, DType t, F&& f) {
  switch (t) {
    case DType::kUInt8:
      return f.template operator()<uint8_t>();
    case DType::kInt8:
      return f.template operator()<int8_t>();
    case DType::kUInt16:
      return f.template operator()<uint16_t>();
    case DType::kInt16:
      return f.template operator()<int16_t>();
    case DType::kInt32:
      return f.template operator()<int32_t>();
    default:
      throw UsageError(
          Cat(node.op_type, " ", node.name, ": codes of type ", Name(t), " are not supported"));
  }
}

void CheckZero(const Node& node, const Tensor& scale, const Tensor& zero) {
  Require(!zero.defined() || zero.numel() == scale.numel(), node.op_type, " ", node.name,
          ": zero points ", ToString(zero.shape()), " for scales ", ToString(scale.shape()));
}

void QuantizeLinear(OpContext& ctx) {
  const Tensor x = Cast(Laid(ctx), DType::kFloat32);
  const Tensor scale = Cast(ctx.Plain(1), DType::kFloat32);
  const Tensor zero = ctx.Has(2) ? ctx.Plain(2) : Tensor();
  const auto asked = static_cast<DType>(ctx.node.Int("output_dtype", 0));
  const DType type = zero.defined() ? zero.dtype() : asked == DType::kNone ? DType::kUInt8 : asked;
  CheckZero(ctx.node, scale, zero);
  const Grid grid = ReadGrid(ctx.node, x.shape(), scale);
  Tensor y(type, x.shape(), x.layout());
  Require(type != DType::kInt32, "QuantizeLinear ", ctx.node.name, ": int32 codes");
  WithCode(ctx.node, type, [&]<class Code>() {
    const Code* z = zero.defined() ? zero.data<Code>() : nullptr;
    const float* s = scale.data<float>();
    const float* in = x.data<float>();
    Code* out = y.data<Code>();
    ForRows(grid, ctx.threads, [&](int64_t at, int64_t n, int64_t p, int64_t step) {
      if (step == 0) return EncodeRow(in + at, n, s[p], z ? z[p] : Code{}, out + at);
      for (int64_t i = 0; i < n; ++i, p += step)
        out[at + i] = Encode(in[at + i], s[p], z ? z[p] : Code{});
    });
  });
  ctx.out[0] = y;
}

void DequantizeLinear(OpContext& ctx) {
  const Tensor& x = Laid(ctx);
  const Tensor scale = Cast(ctx.Plain(1), DType::kFloat32);
  const Tensor zero = ctx.Has(2) ? ctx.Plain(2) : Tensor();
  CheckZero(ctx.node, scale, zero);
  const Grid grid = ReadGrid(ctx.node, x.shape(), scale);
  Tensor y(DType::kFloat32, x.shape(), x.layout());
  WithCode(ctx.node, x.dtype(), [&]<class Code>() {
    const Code* z = zero.defined() ? zero.data<Code>() : nullptr;
    const float* s = scale.data<float>();
    const Code* in = x.data<Code>();
    float* out = y.data<float>();
    ForRows(grid, ctx.threads, [&](int64_t at, int64_t n, int64_t p, int64_t step) {
      if constexpr (sizeof(Code) == 1)
        if (step == 0) return DecodeRow(in + at, n, s[p], z ? z[p] : Code{}, out + at);
      for (int64_t i = 0; i < n; ++i, p += step) {
        const int64_t code = static_cast<int64_t>(in[at + i]) - (z ? z[p] : Code{});
        out[at + i] = static_cast<float>(code) * s[p];
      }
    });
  });
  const auto asked = static_cast<DType>(ctx.node.Int("output_dtype", 0));
  ctx.out[0] = Cast(y, asked != DType::kNone ? asked : ctx.Plain(1).dtype());
}

void DynamicQuantizeLinear(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  float low = 0, high = 0;  // zero must have a code
  for (const float v : x.span<float>()) low = std::min(low, v), high = std::max(high, v);
  const float scale = (high - low) / 255.0f;
  const float zero = scale == 0 ? 0.0f : std::clamp(std::nearbyint(-low / scale), 0.0f, 255.0f);
  const auto code = static_cast<uint8_t>(zero);
  Tensor y(DType::kUInt8, x.shape());
  const float* in = x.data<float>();
  for (int64_t i = 0; i < x.numel(); ++i)
    y.data<uint8_t>()[i] = scale == 0 ? code : Encode(in[i], scale, code);
  ctx.out[0] = y;
  if (ctx.out.size() > 1) ctx.out[1] = Tensor::Scalar(scale);
  if (ctx.out.size() > 2) ctx.out[2] = Tensor::Scalar(code);
}

}  // namespace

void AddQuantize(OpTable& table) {
  table.Add("QuantizeLinear", QuantizeLinear, true);
  table.Add("DequantizeLinear", DequantizeLinear, true);
  table.Add("DynamicQuantizeLinear", DynamicQuantizeLinear);
}

}  // namespace mezzo
