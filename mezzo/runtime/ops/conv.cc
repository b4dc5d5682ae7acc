// Conv, for one to three spatial dimensions, any groups, strides and dilations.
#include "mezzo/runtime/ops/conv.h"

#include <cmath>

#include "mezzo/runtime/op.h"
#include "mezzo/runtime/ops/conv_transpose.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"

namespace mezzo {
namespace {

void CheckConv(const Node& node, const Shape& x, const Tensor& w, const Tensor& bias,
               int64_t groups) {
  Require(w.rank() == x.size() && w.rank() >= 3, "Conv ", node.name, ": weights ",
          ToString(w.shape()), " do not fit an input ", ToString(x));
  Require(groups > 0 && w.dim(0) % groups == 0 && x[1] == w.dim(1) * groups, "Conv ", node.name,
          ": weights ", ToString(w.shape()), " in ", groups, " groups do not fit an input ",
          ToString(x));
  Require(!bias.defined() || bias.numel() == w.dim(0), "Conv ", node.name, ": bias ",
          ToString(bias.shape()), " for ", w.dim(0), " channels");
}

void Conv(OpContext& ctx) {
  const Tensor& w = ctx.Plain(1);
  const Tensor bias = ctx.Has(2) ? ctx.Plain(2) : Tensor();
  Require(ctx.Has(0), "Conv ", ctx.node.name, " has no input");
  const int64_t groups = ctx.node.Int("group", 1);
  CheckConv(ctx.node, ctx.in[0].shape(), w, bias, groups);
  const Window window =
      ReadWindow(ctx.node, ctx.in[0].shape(), {w.shape().begin() + 2, w.shape().end()});

  std::shared_ptr<const PackedConv> packed;
  if (ctx.constant[1]) {
    const auto make = [&] {
      return std::make_shared<std::shared_ptr<const PackedConv>>(PackConv(w, groups, ctx.threads));
    };
    packed = ctx.state.Get<std::shared_ptr<const PackedConv>>(make);
  } else {
    packed = PackConv(w, groups, ctx.threads);
  }
  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  ctx.out[0] = RunConv(x, *packed, bias, window, ctx.threads);
}

}  // namespace

Tensor ConvRef(const Tensor& x_any, const Tensor& weights, const Tensor& bias, const Window& w,
               int64_t groups) {
  const Tensor x = x_any.ToLayout(Layout::kPlain);
  const int64_t m = weights.dim(0), depth = weights.dim(1), taps = w.taps();
  Tensor y(DType::kFloat32, WindowShape(w, x.dim(0), m, w.out));
  float* to = y.data<float>();
  std::vector<int64_t> offsets(taps);
  for (int64_t n = 0; n < x.dim(0); ++n)
    for (int64_t oc = 0; oc < m; ++oc) {
      TapWalk walk(w, 0);
      for (int64_t o = 0; o < w.out_size(); ++o) {
        walk.Next(offsets.data());
        const int64_t first = n * x.dim(1) + oc / (m / groups) * depth;
        float sum = bias.defined() ? bias.data<float>()[oc] : 0.0f;
        for (int64_t t = 0; t < taps; ++t)
          for (int64_t c = 0; c < depth && offsets[t] >= 0; ++c)
            sum = std::fma(x.data<float>()[(first + c) * w.in_size() + offsets[t]],
                           weights.data<float>()[(oc * depth + c) * taps + t], sum);
        *to++ = sum;
      }
    }
  return y;
}

void AddConv(OpTable& table) {
  table.Add("Conv", AsFloat32<Conv>, true);
  table.Add("ConvTranspose", AsFloat32<ConvTranspose>, true);
}

}  // namespace mezzo
