// mezzo:Function and mezzo:Softmax (fuse.h): several operators at once, and QuantizeLinear behind
// them.
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/ops/coded_softmax.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/integer.h"
#include "mezzo/runtime/ops/map.h"

namespace mezzo {
namespace {

void Function(OpContext& ctx) {
  Require(ctx.in[0].dtype() == DType::kFloat32, "got ", Name(ctx.in[0].dtype()), ", needs float32");
  const std::vector<vmath::Step> steps = StepsOf(ctx.node);
  const bool codes = ctx.node.Has("y_type");
  const float* factors = ctx.Has(1) ? ctx.in[1].data<float>() : nullptr;
  // Rows that have a factor for each element, or single elements.
  const size_t row = factors ? static_cast<size_t>(ctx.in[1].numel()) : 1;
  if (factors) ctx.in[0] = BroadcastWith(ctx.Plain(0), ctx.in[1].shape(), ctx.threads);
  const Tensor& x = ctx.in[0];
  const DType type = codes ? OutputType(ctx.node) : DType::kFloat32;
  const QScale grid = codes ? GridOf(ctx.node) : QScale();
  Tensor y = codes ? Tensor(type, x.shape(), x.layout()) : ctx.TakeOrMake(0, type);
  const float* from = x.data<float>();
  const size_t count = static_cast<size_t>(x.numel()) / row;
  ctx.threads.For(count, 1 + kGrain / row, [&](size_t begin, size_t end) {
    if (!codes && !factors)
      return vmath::RunSteps(steps, from + begin, y.data<float>() + begin, end - begin);
    const size_t at_once = std::max<size_t>(1, 1024 / row);
    std::vector<float> block(at_once * row);
    for (size_t r = begin; r < end; r += at_once) {
      const size_t rows = std::min(at_once, end - r), n = rows * row;
      float* made = codes ? block.data() : y.data<float>() + r * row;
      vmath::RunSteps(steps, from + r * row, made, n);
      for (size_t i = 0; factors && i < n; i += row)
        vmath::Map2(made + i, factors, made + i, row, [](auto a, auto b) { return a * b; });
      if (codes) Quantize(made, grid, static_cast<uint8_t*>(y.raw()) + r * row, n);
    }
  });
  const bool scalar = x.rank() == 0 && ctx.node.Int("rank", 0) > 0;  // its constants have rank 1
  ctx.out[0] = scalar ? y.Reshape({1}) : std::move(y);
}

// Rows of x, with a mask that broadcasts to it, through the steps, Softmax and QuantizeLinear.
void Softmax(OpContext& ctx) {
  Tensor x = ctx.Plain(0);
  Require(x.dtype() == DType::kFloat32 && x.rank() > 0, "got ", Name(x.dtype()), " ",
          ToString(x.shape()), ", needs rows of float32");
  const Tensor mask = ctx.Has(1) ? ctx.Plain(1) : Tensor();
  if (mask.defined()) x = BroadcastWith(x, mask.shape(), ctx.threads);
  const CodedSoftmax softmax(ctx.node, mask, x.shape());
  Tensor y(OutputType(ctx.node), x.shape());
  const auto n = static_cast<size_t>(x.shape().back());
  const size_t rows = n ? static_cast<size_t>(x.numel()) / n : 0;
  ctx.threads.For(rows, 1 + kGrain / 4 / (n + 1), [&](size_t begin, size_t end) {
    softmax.Run(x.data<float>() + begin * n, begin, end - begin,
                static_cast<uint8_t*>(y.raw()) + begin * n);
  });
  ctx.out[0] = std::move(y);
}

}  // namespace

void AddFunction(OpTable& table) {
  table.Add("mezzo:Function", &Function, true);
  table.Add("mezzo:Softmax", &Softmax);
}

}  // namespace mezzo
