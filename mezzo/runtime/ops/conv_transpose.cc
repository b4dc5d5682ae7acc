// ConvTranspose as a matrix product, pixels times (taps, channels), whose columns each output pixel
// then gathers in the order of the taps: no two threads add to the same number.
#include "mezzo/runtime/ops/conv_transpose.h"

#include <algorithm>

#include "mezzo/kernels/sgemm/sgemm.h"

namespace mezzo {
namespace {

// For output pixel o: for each tap the input pixel that reaches it, or -1.
void SourceOffsets(const Window& w, int64_t o, int64_t* offsets) {
  const Dims3 at{o / (w.out[1] * w.out[2]), o / w.out[2] % w.out[1], o % w.out[2]};
  const auto source = [&](int i, int64_t k) -> int64_t {
    const int64_t p = at[i] + w.pad[i] - k * w.dilation[i];
    return p < 0 || p % w.stride[i] != 0 || p / w.stride[i] >= w.in[i] ? -1 : p / w.stride[i];
  };
  for (int64_t kd = 0; kd < w.kernel[0]; ++kd)
    for (int64_t kh = 0; kh < w.kernel[1]; ++kh)
      for (int64_t kw = 0; kw < w.kernel[2]; ++kw) {
        const int64_t d = source(0, kd), h = source(1, kh), c = source(2, kw);
        *offsets++ = d < 0 || h < 0 || c < 0 ? -1 : (d * w.in[1] + h) * w.in[2] + c;
      }
}

// Weights of each group as (C / groups, taps * M / groups).
using Matrices = std::vector<PackedB>;

Matrices Pack(const Tensor& weights, int64_t groups, const Threads& threads) {
  const int64_t depth = weights.dim(0) / groups, m = weights.dim(1);
  const int64_t row = weights.numel() / weights.dim(0);
  // (C, M, taps) to (C, taps, M)
  const Tensor turned =
      weights.Reshape({weights.dim(0), m, row / m}).ToLayout(Layout::kChannelsLast);
  Matrices matrices;
  for (int64_t g = 0; g < groups; ++g)
    matrices.emplace_back(turned.data<float>() + g * depth * row, depth, row, row, 1, threads);
  return matrices;
}

struct Task {
  const Window& w;
  int64_t groups, m;  // output channels of a group
  const float* bias;
};

// One sample: columns holds (input pixels, taps * m) of one group at a time.
void RunSample(const Task& task, const float* x, const Matrices& matrices, float* columns, float* y,
               const Threads& threads) {
  const Window& w = task.w;
  const int64_t taps = w.taps(), m = task.m, channels = task.groups * m;
  const int64_t depth = matrices[0].k(), in_stride = depth * task.groups;
  for (int64_t g = 0; g < task.groups; ++g) {
    Sgemm(x + g * depth, in_stride, w.in_size(), matrices[g], columns, taps * m, {}, threads);
    threads.For(w.out_size(), 1 + 20000 / (taps * m), [&](size_t begin, size_t end) {
      std::vector<int64_t> offsets(taps);
      for (size_t o = begin; o < end; ++o) {
        SourceOffsets(w, o, offsets.data());
        float* to = y + o * channels + g * m;
        for (int64_t c = 0; c < m; ++c) to[c] = task.bias ? task.bias[g * m + c] : 0.0f;
        for (int64_t t = 0; t < taps; ++t) {
          if (offsets[t] < 0) continue;
          const float* from = columns + (offsets[t] * taps + t) * m;
          for (int64_t c = 0; c < m; ++c) to[c] += from[c];
        }
      }
    });
  }
}

}  // namespace

void ConvTranspose(OpContext& ctx) {
  const Tensor& w = ctx.Plain(1);
  const Tensor bias = ctx.Has(2) ? ctx.Plain(2) : Tensor();
  const Shape& shape = ctx.in[0].shape();
  const int64_t groups = ctx.node.Int("group", 1);
  Require(w.rank() == shape.size() && w.rank() >= 3 && groups > 0 && w.dim(0) == shape[1] &&
              w.dim(0) % groups == 0 && w.numel() > 0,
          "ConvTranspose ", ctx.node.name, ": weights ", ToString(w.shape()), " in ", groups,
          " groups do not fit an input ", ToString(shape));
  const int64_t channels = w.dim(1) * groups;
  Require(!bias.defined() || bias.numel() == channels, "ConvTranspose ", ctx.node.name, ": bias ",
          ToString(bias.shape()), " for ", channels, " channels");
  const Window window =
      ReadTransposedWindow(ctx.node, shape, {w.shape().begin() + 2, w.shape().end()});

  Matrices made;
  const Matrices* matrices = &made;
  if (ctx.constant[1])
    matrices = &ctx.state.Get<Matrices>(
        [&] { return std::make_shared<Matrices>(Pack(w, groups, ctx.threads)); });
  else
    made = Pack(w, groups, ctx.threads);

  const Tensor x = ctx.in[0].ToLayout(Layout::kChannelsLast);
  Tensor y(DType::kFloat32, WindowShape(window, shape[0], channels, window.out),
           Layout::kChannelsLast);
  Tensor columns(DType::kFloat32, {window.in_size(), window.taps() * w.dim(1)});
  const Task task{window, groups, w.dim(1), bias.defined() ? bias.data<float>() : nullptr};
  for (int64_t n = 0; n < shape[0]; ++n)
    RunSample(task, x.data<float>() + n * window.in_size() * shape[1], *matrices,
              columns.data<float>(), y.data<float>() + n * window.out_size() * channels,
              ctx.threads);
  ctx.out[0] = y;
}

}  // namespace mezzo
