// AveragePool, LpPool and the global pools.
#include "mezzo/runtime/ops/pool.h"

#include <algorithm>
#include <cmath>

#include "mezzo/kernels/vmath/vector.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {
namespace {

using vmath::F8;

// Runs body(x, y, o, offsets) for each sample's channels-last pixels x and each output pixel o,
// where y is the row of channels to fill.
template <class Body>
Tensor PoolPixels(OpContext& ctx, const Tensor& any, const Window& w, Body&& body) {
  const Tensor x = any.ToLayout(Layout::kChannelsLast);
  const int64_t channels = x.dim(1), out = w.out_size();
  Tensor y(DType::kFloat32, WindowShape(w, x.dim(0), channels, w.out), Layout::kChannelsLast);
  const float* from = x.data<float>();
  float* to = y.data<float>();
  const int64_t work = channels * w.taps() + 1;
  ctx.threads.For(x.dim(0) * out, 1 + 20000 / work, [&](size_t begin, size_t end) {
    std::vector<int64_t> offsets(w.taps());
    TapWalk walk(w, begin % out);
    for (int64_t i = begin; i < static_cast<int64_t>(end); ++i) {
      walk.Next(offsets.data());
      body(from + i / out * w.in_size() * channels, to + i * channels, i % out, offsets);
    }
  });
  return y;
}

// How many taps of the window at pixel o lie inside the input and its explicit padding: with
// ceil_mode the last window may reach further, and that part never counts.
int64_t PaddedTaps(const Window& w, int64_t o) {
  const Dims3 at{o / (w.out[1] * w.out[2]), o / w.out[2] % w.out[1], o % w.out[2]};
  int64_t count = 1;
  for (int i = 0; i < 3; ++i) {
    const int64_t start = at[i] * w.stride[i] - w.pad[i], limit = w.in[i] + w.pad_end[i];
    int64_t inside = 0;
    for (int64_t k = 0; k < w.kernel[i]; ++k) inside += start + k * w.dilation[i] < limit;
    count *= inside;
  }
  return count;
}

void AveragePool(OpContext& ctx) {
  const Tensor& x = ctx.in[0];
  const Window w = ReadWindow(ctx.node, x.shape(), ctx.node.Ints("kernel_shape"));
  const bool include_pad = ctx.node.Int("count_include_pad", 0) != 0;
  const int64_t channels = x.dim(1);
  const auto body = [&](const float* in, float* out, int64_t o, const std::vector<int64_t>& taps) {
    std::fill(out, out + channels, 0.0f);
    int64_t count = 0;
    for (const int64_t t : taps) {
      if (t < 0) continue;
      ++count;
      vmath::Map2(out, in + t * channels, out, channels, [](F8 a, F8 b) { return a + b; });
    }
    if (include_pad) count = PaddedTaps(w, o);
    const auto divisor = static_cast<float>(count);
    vmath::Map(out, out, channels, [&](F8 v) { return v / divisor; });
  };
  ctx.out[0] = PoolPixels(ctx, x, w, body);
}

// One channel's sum of |x|^p, then the root.
void LpRow(const float* in, float* out, int64_t channels, const std::vector<int64_t>& taps, int p) {
  std::fill(out, out + channels, 0.0f);
  for (const int64_t t : taps) {
    if (t < 0) continue;
    for (int64_t c = 0; c < channels; ++c) {
      const float v = std::abs(in[t * channels + c]);
      out[c] += p == 1 ? v : p == 2 ? v * v : std::pow(v, static_cast<float>(p));
    }
  }
  for (int64_t c = 0; c < channels && p != 1; ++c)
    out[c] = p == 2 ? std::sqrt(out[c]) : std::pow(out[c], 1.0f / static_cast<float>(p));
}

void LpPool(OpContext& ctx) {
  const Tensor& x = ctx.in[0];
  const Window w = ReadWindow(ctx.node, x.shape(), ctx.node.Ints("kernel_shape"));
  const int p = static_cast<int>(ctx.node.Int("p", 2));
  ctx.out[0] = PoolPixels(
      ctx, x, w, [&](const float* in, float* out, int64_t, const std::vector<int64_t>& taps) {
        LpRow(in, out, x.dim(1), taps, p);
      });
}

Shape GlobalShape(const Tensor& x) {
  Shape shape = x.shape();
  std::fill(shape.begin() + 2, shape.end(), 1);
  return shape;
}

// Reduces each channel of each sample: add(sum, value) over the pixels in order, then finish(sum).
// `add` takes floats, or vectors of them too.
template <class Add, class Finish>
void GlobalPool(OpContext& ctx, float start, Add&& add, Finish&& finish) {
  const Tensor& x = ctx.in[0];
  Require(x.rank() >= 2, ctx.node.op_type, " ", ctx.node.name, ": input ", ToString(x.shape()),
          " has no channels");
  const int64_t channels = x.dim(1), pixels = x.numel() / std::max<int64_t>(1, x.dim(0) * channels);
  const bool last = x.layout() == Layout::kChannelsLast;
  const int64_t step = last ? channels : 1;   // from pixel to pixel
  Tensor y(DType::kFloat32, GlobalShape(x));  // one pixel: every layout is the plain one
  const auto run = [&](const float* in, int64_t count, float* out) {
    int64_t c = 0;
    if constexpr (std::is_invocable_r_v<F8, Add, F8, F8>)
      for (; last && c + 32 <= count; c += 32) {
        F8 sums[4];
        std::fill_n(sums, 4, vmath::Splat(start));
        for (int64_t i = 0; i < pixels; ++i)
#pragma GCC unroll 4
          for (int v = 0; v < 4; ++v)
            sums[v] = add(sums[v], vmath::Load(in + i * step + c + 8 * v));
        for (int v = 0; v < 4; ++v) vmath::Store<float>(out + c + 8 * v, sums[v]);
      }
    for (; c < count; ++c) {
      out[c] = start;
      for (int64_t i = 0; i < pixels; ++i)
        out[c] = add(out[c], in[i * step + c * (last ? 1 : pixels)]);
    }
    for (c = 0; c < count; ++c) out[c] = finish(out[c], pixels);
  };
  constexpr int64_t kBlock = 64;
  const int64_t blocks = (channels + kBlock - 1) / kBlock;
  ctx.threads.For(
      x.dim(0) * blocks, 1 + 20000 / (kBlock * pixels + 1), [&](size_t begin, size_t end) {
        for (size_t task = begin; task < end; ++task) {
          const int64_t n = static_cast<int64_t>(task) / blocks;
          const int64_t c = static_cast<int64_t>(task) % blocks * kBlock;
          const float* in = x.data<float>() + n * channels * pixels + c * (last ? 1 : pixels);
          run(in, std::min(kBlock, channels - c), y.data<float>() + n * channels + c);
        }
      });
  ctx.out[0] = y;
}

void GlobalAveragePool(OpContext& ctx) {
  GlobalPool(
      ctx, 0.0f, [](auto s, auto v) { return s + v; },
      [](float s, int64_t n) { return s / static_cast<float>(n); });
}

void GlobalMaxPool(OpContext& ctx) {
  GlobalPool(
      ctx, -INFINITY, [](float s, float v) { return v > s || std::isnan(v) ? v : s; },
      [](float s, int64_t) { return s; });
}

void GlobalLpPool(OpContext& ctx) {
  const float p = static_cast<float>(ctx.node.Int("p", 2));
  GlobalPool(
      ctx, 0.0f, [p](float s, float v) { return s + std::pow(std::abs(v), p); },
      [p](float s, int64_t) { return std::pow(s, 1.0f / p); });
}

}  // namespace

void AddPool(OpTable& table) {
  table.Add("MaxPool", MaxPool, true);
  table.Add("AveragePool", AsFloat32<AveragePool>, true);
  table.Add("LpPool", AsFloat32<LpPool>, true);
  table.Add("GlobalAveragePool", AsFloat32<GlobalAveragePool>, true);
  table.Add("GlobalMaxPool", AsFloat32<GlobalMaxPool>, true);
  table.Add("GlobalLpPool", AsFloat32<GlobalLpPool>, true);
  table.Add("MaxUnpool", MaxUnpool);
  table.Add("RoiAlign", AsFloat32<RoiAlign>);
}

}  // namespace mezzo
