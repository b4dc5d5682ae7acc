// Gradients of Conv: of its input by the transposed convolution, of its weights by a product of the
// output's gradient with the windows that met them.
#include <algorithm>

#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/vector.h"
#include "mezzo/runtime/gradient/rule.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {
namespace {

using vmath::F8;

struct Layer {
  Window w;
  int64_t groups, samples, inputs, outputs;  // channels of all groups
  int64_t depth() const { return inputs / groups; }
  int64_t rows() const { return outputs / groups; }
};

Layer ReadLayer(const GradientContext& ctx) {
  const Shape &x = ctx.in[0].shape(), &w = ctx.in[1].shape();
  return {ReadWindow(ctx.node, x, {w.begin() + 2, w.end()}), ctx.node.Int("group", 1), x[0], x[1],
          w[0]};
}

std::vector<int64_t> Spatial(const Window& w, const Dims3& dims) {
  return {dims.end() - static_cast<long>(w.spatial_rank), dims.end()};
}

// dx[i] = sum over the taps t and outputs o that read i of g[o] w[t]: ConvTranspose, with what the
// window leaves over at the end as output_padding.
Tensor InputGradient(GradientContext& ctx, const Layer& l) {
  const Window& w = l.w;
  std::vector<int64_t> pads = Spatial(w, w.pad), more;
  for (size_t i = 3 - w.spatial_rank; i < 3; ++i) {
    pads.push_back(w.pad_end[i]);
    more.push_back(w.in[i] + w.pad[i] + w.pad_end[i] - w.stride[i] * (w.out[i] - 1) -
                   w.dilation[i] * (w.kernel[i] - 1) - 1);
  }
  const Node node{"ConvTranspose",
                  "",
                  ctx.node.name,
                  {"g", "w"},
                  {"dx"},
                  {{"strides", Spatial(w, w.stride)},
                   {"dilations", Spatial(w, w.dilation)},
                   {"pads", pads},
                   {"output_padding", more},
                   {"group", l.groups}}};
  const char constant[] = {0, ctx.constant[1]};
  return RunOp(node, {ctx.g[0], ctx.in[1]}, ctx.threads, constant, &ctx.state)[0];
}

bool IsDepthwise(const Layer& l) { return l.depth() == 1 && l.rows() == 1; }

// Weights of a depthwise layer as (taps, channels).
std::vector<float> ByTap(const Tensor& w, int64_t channels, int64_t taps) {
  std::vector<float> turned(w.numel());
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < taps; ++t) turned[t * channels + c] = w.data<float>()[c * taps + t];
  return turned;
}

// Calls body(output row of channels, input row, tap) for each pair that a depthwise layer
// multiplies.
template <class Body>
void EachTap(const Layer& l, Body&& body) {
  std::vector<int64_t> offsets(l.w.taps());
  TapWalk walk(l.w, 0);
  for (int64_t n = 0; n < l.samples; ++n)
    for (int64_t o = 0; o < l.w.out_size(); ++o) {
      walk.Next(offsets.data());
      for (int64_t t = 0; t < l.w.taps(); ++t)
        if (offsets[t] >= 0)
          body((n * l.w.out_size() + o) * l.outputs, (n * l.w.in_size() + offsets[t]) * l.inputs,
               t);
    }
}

Tensor DepthwiseInput(const GradientContext& ctx, const Layer& l, const Tensor& g) {
  const int64_t channels = l.inputs;
  const std::vector<float> w = ByTap(ctx.in[1].ToLayout(Layout::kPlain), channels, l.w.taps());
  Tensor dx(DType::kFloat32, ctx.in[0].shape(), Layout::kChannelsLast);
  float* to = dx.data<float>();
  std::fill_n(to, dx.numel(), 0.0f);
  EachTap(l, [&](int64_t out, int64_t in, int64_t t) {
    const float *gr = g.data<float>() + out, *wr = w.data() + t * channels;
    float* row = to + in;
    for (int64_t c = 0; c < channels; ++c) row[c] += gr[c] * wr[c];
  });
  return dx;
}

Tensor DepthwiseWeights(const GradientContext& ctx, const Layer& l, const Tensor& x,
                        const Tensor& g) {
  const int64_t channels = l.inputs, taps = l.w.taps();
  std::vector<float> sums(taps * channels, 0.0f);
  EachTap(l, [&](int64_t out, int64_t in, int64_t t) {
    const float *gr = g.data<float>() + out, *xr = x.data<float>() + in;
    float* row = sums.data() + t * channels;
    for (int64_t c = 0; c < channels; ++c) row[c] += gr[c] * xr[c];
  });
  Tensor dw(DType::kFloat32, ctx.in[1].shape());
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t t = 0; t < taps; ++t) dw.data<float>()[c * taps + t] = sums[t * channels + c];
  return dw;
}

// The windows of one sample and group as (pixels, taps * depth), zeros in the padding.
void FillWindows(const Layer& l, const float* x, int64_t group, float* to) {
  std::vector<int64_t> offsets(l.w.taps());
  TapWalk walk(l.w, 0);
  for (int64_t o = 0; o < l.w.out_size(); ++o) {
    walk.Next(offsets.data());
    for (int64_t t = 0; t < l.w.taps(); ++t, to += l.depth())
      if (offsets[t] < 0)
        std::fill_n(to, l.depth(), 0.0f);
      else
        std::copy_n(x + offsets[t] * l.inputs + group * l.depth(), l.depth(), to);
  }
}

Tensor WeightGradient(const GradientContext& ctx, const Layer& l, const Tensor& x) {
  const int64_t pixels = l.w.out_size(), taps = l.w.taps(), k = taps * l.depth();
  const Tensor g = ctx.g[0].ToLayout(Layout::kPlain);  // rows of G^T
  std::vector<float> sums(l.outputs * k, 0.0f), windows;
  const bool direct =
      taps == 1 && l.groups == 1 && l.w.in_size() == pixels && l.w.stride == Dims3{1, 1, 1};
  if (!direct) windows.resize(pixels * k);
  for (int64_t n = 0; n < l.samples; ++n)
    for (int64_t group = 0; group < l.groups; ++group) {
      const float* from = x.data<float>() + n * l.w.in_size() * l.inputs;
      if (!direct) FillWindows(l, from, group, windows.data());
      const PackedB b(direct ? from : windows.data(), pixels, k, k, 1, ctx.threads);
      const int64_t row = group * l.rows();
      float* to = sums.data() + row * k;
      Sgemm(g.data<float>() + (n * l.outputs + row) * pixels, pixels, l.rows(), b, to, k, {to, k},
            ctx.threads);
    }
  Tensor dw(DType::kFloat32,
            ctx.in[1].shape());  // (outputs, taps, depth) to (outputs, depth, taps)
  float* to = dw.data<float>();
  for (int64_t o = 0; o < l.outputs; ++o)
    for (int64_t c = 0; c < l.depth(); ++c)
      for (int64_t t = 0; t < taps; ++t) *to++ = sums[(o * taps + t) * l.depth() + c];
  return dw;
}

void ConvGradient(GradientContext& ctx) {
  const Layer l = ReadLayer(ctx);
  const bool depthwise = IsDepthwise(l);
  const Tensor g = depthwise ? ctx.g[0].ToLayout(Layout::kChannelsLast) : ctx.g[0];
  if (ctx.Wants(0)) ctx.result[0] = depthwise ? DepthwiseInput(ctx, l, g) : InputGradient(ctx, l);
  if (ctx.Wants(1)) {
    const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
    ctx.result[1] = depthwise ? DepthwiseWeights(ctx, l, x, g) : WeightGradient(ctx, l, x);
  }
  if (ctx.Wants(2)) {
    std::vector<int64_t> axes{0};
    for (size_t i = 2; i < ctx.g[0].rank(); ++i) axes.push_back(static_cast<int64_t>(i));
    ctx.result[2] = RunOp("ReduceSum", {ctx.g[0], Tensor::Vector(axes)}, {{"keepdims", int64_t{0}}},
                          ctx.threads);
  }
}

}  // namespace

void AddConvGradients(GradientTable& table) { table.Add("Conv", &ConvGradient); }

}  // namespace mezzo
