// mezzo:QAdd, mezzo:QMul and mezzo:QLut (lower.h), over codes in any layout.
#include <cstring>

#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/integer.h"

namespace mezzo {

QBinaryParams BinaryParamsOf(const Node& node, bool multiply, const std::string& prefix) {
  const auto scale = [&](const char* name) { return node.Float(prefix + name, 1); };
  const auto code = [&](const char* name, int fallback) {
    return static_cast<int32_t>(node.Int(prefix + name, fallback));
  };
  const float a = scale("a_scale"), b = scale("b_scale"), y = scale("y_scale");
  const bool is_signed = OutputType(node, prefix) == DType::kInt8;
  return {multiply,
          multiply ? a * b / y : a / y,
          b / y,
          code("a_zero_point", 0),
          code("b_zero_point", 0),
          code("y_zero_point", 0),
          code("lo", is_signed ? -128 : 0),
          code("hi", is_signed ? 127 : 255)};
}

Tensor RunQBinary(OpContext& ctx, Tensor a, Tensor b, const QBinaryParams& params, DType type) {
  // a whole tensor in another layout is faster turned than read across
  if (a.rank() == b.rank() && a.layout() != b.layout())
    (a.layout() == Layout::kPlain ? a : b) =
        (a.layout() == Layout::kPlain ? a : b).ToLayout(Layout::kChannelsLast);
  const QCodes a_codes = CodesOf(a), b_codes = CodesOf(b);
  const Shape shape = BroadcastShape(a.shape(), b.shape());
  const Tensor* both[] = {&a, &b};
  Tensor y(type, shape, BroadcastLayout(both, shape));
  auto* to = static_cast<uint8_t*>(y.raw());
  const auto run = [&](const QBinaryArgs& args) {
    ctx.kernels == KernelSet::kReference ? QBinaryRef(args, params) : QBinary(args, params);
  };
  const BroadcastWalk<2> walk(shape, y.layout(), {&a, &b});
  walk.Run(ctx.threads, [&](int64_t at, const auto& offset, const auto& stride, int64_t n) {
    QBinaryArgs args{{static_cast<const uint8_t*>(a_codes.data) + offset[0], a_codes.is_signed},
                     {static_cast<const uint8_t*>(b_codes.data) + offset[1], b_codes.is_signed},
                     1,
                     1,
                     to + at,
                     static_cast<size_t>(n)};
    if (stride[0] <= 1 && stride[1] <= 1) {
      args.a_step = static_cast<size_t>(stride[0]);
      args.b_step = static_cast<size_t>(stride[1]);
      return run(args);
    }
    // operands in different layouts: element by element
    args.n = 1;
    for (int64_t i = 0; i < n; ++i) {
      args.a.data = static_cast<const uint8_t*>(a_codes.data) + offset[0] + i * stride[0];
      args.b.data = static_cast<const uint8_t*>(b_codes.data) + offset[1] + i * stride[1];
      args.y = to + at + i;
      run(args);
    }
  });
  return y;
}

namespace {

template <bool kMultiply>
void Binary(OpContext& ctx) {
  ctx.out[0] = RunQBinary(ctx, ctx.in[0], ctx.in[1], BinaryParamsOf(ctx.node, kMultiply),
                          OutputType(ctx.node));
}

void Lut(OpContext& ctx) {
  const Tensor* table = ctx.node.TensorAttribute("table");
  Require(table && table->dtype() == DType::kUInt8 && table->numel() % 256 == 0,
          "needs tables of 256 uint8");
  CodesOf(ctx.in[0]);
  Tensor y = ctx.TakeOrMake(0, OutputType(ctx.node));
  const Tensor& x = ctx.in[0];
  const auto* from = static_cast<const uint8_t*>(x.raw());
  auto* to = static_cast<uint8_t*>(y.raw());
  const size_t all = static_cast<size_t>(y.numel()), channels = table->numel() / 256;
  const uint8_t* tables = table->data<uint8_t>();
  const auto run = [&](size_t channel, size_t begin, size_t end) {
    QTable values;
    std::memcpy(values.data(), tables + 256 * channel, values.size());
    QLut(from + begin, values, to + begin, end - begin);
  };
  constexpr size_t kGrain = 1 << 16;
  if (channels > 1)
    Require(x.rank() > 1 && x.dim(1) == static_cast<int64_t>(channels), "has tables for ", channels,
            " channels, got ", ToString(x.shape()));
  if (channels == 1) {
    ctx.threads.For(all, kGrain, [&](size_t begin, size_t end) { run(0, begin, end); });
  } else if (x.layout() == Layout::kChannelsLast) {
    ctx.threads.For(all / channels, kGrain / channels + 1, [&](size_t begin, size_t end) {
      QLutChannels(from + begin * channels, tables, channels, to + begin * channels, end - begin);
    });
  } else if (all > 0) {
    const size_t inner = all / static_cast<size_t>(x.dim(0)) / channels;
    ctx.threads.For(all / inner, kGrain / inner + 1, [&](size_t begin, size_t end) {
      for (size_t row = begin; row < end; ++row)
        run(row % channels, row * inner, (row + 1) * inner);
    });
  }
  ctx.out[0] = std::move(y);
}

}  // namespace

void AddIntegerElementwise(OpTable& table) {
  table.Add("mezzo:QAdd", &Binary<false>, true);
  table.Add("mezzo:QMul", &Binary<true>, true);
  table.Add("mezzo:QLut", &Lut, true);
}

}  // namespace mezzo
