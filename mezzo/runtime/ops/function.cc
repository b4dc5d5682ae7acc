// mezzo:Function and mezzo:Softmax (fuse.h): several operators at once, and QuantizeLinear behind
// them.
#include "mezzo/runtime/ops/broadcast.h"
#include "mezzo/runtime/ops/coded_softmax.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/integer.h"
#include "mezzo/runtime/ops/run_function.h"

namespace mezzo {
namespace {

void Function(OpContext& ctx) {
  const std::vector<float> scales = ctx.node.Floats("in_scales");
  const std::vector<int64_t> zeros = ctx.node.Ints("in_zero_points");
  std::vector<FunctionInput> inputs;
  for (size_t i = 0; i < ctx.in.size(); ++i) {
    FunctionInput& input = inputs.emplace_back();
    if (i < scales.size() && scales[i] > 0)
      input.codes = {scales[i], static_cast<int32_t>(zeros.at(i)), CodesOf(ctx.in[i]).is_signed};
    else
      Require(ctx.in[i].dtype() == DType::kFloat32, "input ", i, " is ", Name(ctx.in[i].dtype()),
              ", needs float32");
    input.constant = ctx.constant[i];
    input.t = std::move(ctx.in[i]);
  }
  const bool codes = ctx.node.Has("y_type");
  const QScale grid = codes ? GridOf(ctx.node) : QScale();
  Tensor y =
      RunFunction(StepsOf(ctx.node), std::move(inputs), codes ? &grid : nullptr, ctx.threads);
  const bool scalar = y.rank() == 0 && ctx.node.Int("rank", 0) > 0;  // its constants have rank 1
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
