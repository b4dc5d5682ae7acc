// mezzo:Function (fuse.h): several elementwise operators at once, and QuantizeLinear behind them.
#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/integer.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

std::vector<vmath::Step> StepsOf(const Node& node) {
  const std::vector<int64_t> kinds = node.Ints("kinds"), a = node.Ints("a"), b = node.Ints("b");
  const std::vector<float> constants = node.Floats("constants");
  std::vector<vmath::Step> steps;
  for (size_t i = 0; i < kinds.size(); ++i)
    steps.push_back({static_cast<vmath::Step::Kind>(kinds[i]), static_cast<uint8_t>(a[i]),
                     static_cast<uint8_t>(b[i]), constants[i]});
  return steps;
}

void Function(OpContext& ctx) {
  const Tensor& x = ctx.in[0];
  Require(x.dtype() == DType::kFloat32, "got ", Name(x.dtype()), ", needs float32");
  const std::vector<vmath::Step> steps = StepsOf(ctx.node);
  const bool codes = ctx.node.Has("y_type");
  const DType type = codes ? OutputType(ctx.node) : DType::kFloat32;
  const QScale grid{ctx.node.Float("y_scale", 1),
                    static_cast<int32_t>(ctx.node.Int("y_zero_point", 0)), type == DType::kInt8};
  Tensor y = codes ? Tensor(type, x.shape(), x.layout()) : ctx.TakeOrMake(0, type);
  const float* from = x.data<float>();
  ctx.threads.For(static_cast<size_t>(x.numel()), kGrain, [&](size_t begin, size_t end) {
    if (!codes) return vmath::RunSteps(steps, from + begin, y.data<float>() + begin, end - begin);
    float block[1024];
    for (size_t at = begin; at < end; at += std::size(block)) {
      const size_t n = std::min(std::size(block), end - at);
      vmath::RunSteps(steps, from + at, block, n);
      Quantize(block, grid, static_cast<uint8_t*>(y.raw()) + at, n);
    }
  });
  const bool scalar = x.rank() == 0 && ctx.node.Int("rank", 0) > 0;  // its constants have rank 1
  ctx.out[0] = scalar ? y.Reshape({1}) : std::move(y);
}

}  // namespace

void AddFunction(OpTable& table) { table.Add("mezzo:Function", &Function, true); }

}  // namespace mezzo
