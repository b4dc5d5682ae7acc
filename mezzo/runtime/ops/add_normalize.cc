// mezzo:AddNormalize (fuse.h): a row is added up, normalized and coded while it is in the cache.
#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/coded_softmax.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/integer.h"
#include "mezzo/runtime/ops/norm.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

void AddNormalize(OpContext& ctx) {
  const Tensor none, &scale = ctx.Plain(2);
  const Tensor& bias = ctx.Has(3) ? ctx.Plain(3) : none;
  Require(ctx.Plain(0).dtype() == DType::kFloat32 && ctx.Plain(1).dtype() == DType::kFloat32,
          "got ", Name(ctx.in[0].dtype()), " and ", Name(ctx.in[1].dtype()), ", needs float32");
  const Shape shape = BroadcastShape(ctx.in[0].shape(), ctx.in[1].shape());
  const auto n = static_cast<size_t>(scale.numel());
  Require(!shape.empty() && shape.back() == scale.numel() &&
              (!bias.defined() || bias.numel() == scale.numel()),
          "rows of ", ToString(shape), " do not fit the scale ", ToString(scale.shape()));
  // repeated rows are read where they are
  const Tensor a = BroadcastWith(ctx.in[0], {shape.back()}, ctx.threads),
               b = BroadcastWith(ctx.in[1], {shape.back()}, ctx.threads);
  const std::vector<int64_t> a_strides = BroadcastStrides(a, shape),
                             b_strides = BroadcastStrides(b, shape);
  const auto wanted = [&](size_t i, DType type) {
    const bool is = i < ctx.node.outputs.size() && !ctx.node.outputs[i].empty();
    if (is) ctx.out[i] = Tensor(type, shape);
    return is ? static_cast<char*>(ctx.out[i].raw()) : nullptr;
  };
  auto* const normal = reinterpret_cast<float*>(wanted(0, DType::kFloat32));
  auto* const sum = reinterpret_cast<float*>(wanted(1, DType::kFloat32));
  auto* const codes = reinterpret_cast<uint8_t*>(wanted(2, OutputType(ctx.node)));
  const QScale grid = GridOf(ctx.node);
  const float epsilon = ctx.node.Float("epsilon", 1e-5f);
  const float *pa = a.data<float>(), *pb = b.data<float>(), *factors = scale.data<float>(),
              *offsets = bias.defined() ? bias.data<float>() : nullptr;
  const size_t rows = static_cast<size_t>(NumElements(shape)) / n;
  ctx.threads.For(rows, 1 + kGrain / (4 * n), [&](size_t begin, size_t end) {
    std::vector<float> own(n);  // of the row, where nobody asks for it
    RowWalk a_row(shape, a_strides, begin), b_row(shape, b_strides, begin);
    for (size_t r = begin; r < end; ++r, a_row.Next(), b_row.Next()) {
      float* const added = sum ? sum + r * n : own.data();
      float* const y = normal ? normal + r * n : own.data();
      vmath::Map2(pa + a_row.offset(), pb + b_row.offset(), added, n,
                  [](auto u, auto v) { return u + v; });
      LayerNormRow(added, factors, offsets, scale.numel(), epsilon, y);
      if (codes) Quantize(y, grid, codes + r * n, n);
    }
  });
}

}  // namespace

void AddAddNormalize(OpTable& table) { table.Add("mezzo:AddNormalize", &AddNormalize); }

}  // namespace mezzo
