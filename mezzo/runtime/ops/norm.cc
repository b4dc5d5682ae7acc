// Normalizations with one mean and variance per channel or sample and channel: BatchNormalization,
// InstanceNormalization, GroupNormalization; and LRN. Sums run in double, in an order that
// depends on nothing but their length.
#include "mezzo/runtime/ops/norm.h"

#include <algorithm>
#include <cmath>

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

using vmath::F8;

struct Extents {
  int64_t samples, channels, pixels;
};

Extents ReadExtents(const Node& node, const Tensor& x) {
  Require(x.rank() >= 2, node.op_type, " ", node.name, ": input ", ToString(x.shape()),
          " has no channels");
  const int64_t outer = x.dim(0) * x.dim(1);
  return {x.dim(0), x.dim(1), outer == 0 ? 0 : x.numel() / outer};
}

const float* Parameter(OpContext& ctx, size_t i, int64_t count) {
  const Tensor& t = ctx.Plain(i);
  Require(t.numel() == count, ctx.node.op_type, " ", ctx.node.name, ": input ", i, " is ",
          ToString(t.shape()), ", needs ", count, " values");
  return t.data<float>();
}

// y = x * scale[c] + shift[c], in either layout; y may be x.
void ScaleChannels(const Tensor& x, const Extents& e, const float* scale, const float* shift,
                   Tensor& y, const Threads& threads) {
  const float* in = x.data<float>();
  float* out = y.data<float>();
  const bool last = x.layout() == Layout::kChannelsLast && x.rank() > 2;
  const int64_t rows = e.samples * (last ? e.pixels : e.channels);
  const int64_t n = last ? e.channels : e.pixels;
  threads.For(rows, 1 + kGrain / (n + 1), [&](size_t begin, size_t end) {
    for (int64_t r = begin; r < static_cast<int64_t>(end); ++r) {
      const int64_t at = r * n, c = r % e.channels;
      if (last) {
        vmath::Map2(in + at, scale, out + at, n, [](F8 v, F8 s) { return v * s; });
        vmath::Map2(out + at, shift, out + at, n, [](F8 v, F8 s) { return v + s; });
      } else {
        vmath::Map(in + at, out + at, n, [&](F8 v) { return v * scale[c] + shift[c]; });
      }
    }
  });
}

// Mean and biased variance of each channel over samples and pixels.
void BatchStatistics(const Tensor& plain, const Extents& e, std::vector<float>& mean,
                     std::vector<float>& variance) {
  for (int64_t c = 0; c < e.channels; ++c) {
    double sum = 0, squares = 0;
    const auto each = [&](auto&& f) {
      for (int64_t n = 0; n < e.samples; ++n)
        for (int64_t i = 0; i < e.pixels; ++i)
          f(plain.data<float>()[(n * e.channels + c) * e.pixels + i]);
    };
    each([&](float v) { sum += v; });
    const double m = sum / static_cast<double>(e.samples * e.pixels);
    each([&](float v) { squares += (v - m) * (v - m); });
    mean[c] = static_cast<float>(m);
    variance[c] = static_cast<float>(squares / static_cast<double>(e.samples * e.pixels));
  }
}

void BatchNormalization(OpContext& ctx) {
  const Extents e = ReadExtents(ctx.node, ctx.in[0]);
  const float *gamma = Parameter(ctx, 1, e.channels), *beta = Parameter(ctx, 2, e.channels);
  const float* running[2] = {Parameter(ctx, 3, e.channels), Parameter(ctx, 4, e.channels)};
  std::vector<float> mean(running[0], running[0] + e.channels);
  std::vector<float> variance(running[1], running[1] + e.channels);
  if (ctx.node.Int("training_mode", 0) != 0) {
    BatchStatistics(ctx.in[0].ToLayout(Layout::kPlain), e, mean, variance);
    const float momentum = ctx.node.Float("momentum", 0.9f);
    for (size_t o = 1; o < std::min<size_t>(ctx.out.size(), 3); ++o) {
      const std::vector<float>& now = o == 1 ? mean : variance;
      ctx.out[o] = Tensor(DType::kFloat32, {e.channels});
      for (int64_t c = 0; c < e.channels; ++c)
        ctx.out[o].data<float>()[c] = running[o - 1][c] * momentum + now[c] * (1 - momentum);
    }
  }
  const float epsilon = ctx.node.Float("epsilon", 1e-5f);
  std::vector<float> scale(e.channels), shift(e.channels);
  for (int64_t c = 0; c < e.channels; ++c) {
    scale[c] = gamma[c] / std::sqrt(variance[c] + epsilon);
    shift[c] = beta[c] - mean[c] * scale[c];
  }
  ctx.out[0] = ctx.TakeOrMake(0, DType::kFloat32);
  ScaleChannels(ctx.in[0], e, scale.data(), shift.data(), ctx.out[0], ctx.threads);
}

// Normalizes each of `groups` stretches of channels of each sample, then scales by channel. The
// pixels of a group are read in the order of the tensor's own layout.
void NormalizeGroups(OpContext& ctx, int64_t groups) {
  const Tensor& x = ctx.Plain(0);
  const Extents e = ReadExtents(ctx.node, x);
  Require(groups > 0 && e.channels % groups == 0, ctx.node.op_type, " ", ctx.node.name, ": ",
          e.channels, " channels in ", groups, " groups");
  const float *gamma = Parameter(ctx, 1, e.channels), *beta = Parameter(ctx, 2, e.channels);
  const float epsilon = ctx.node.Float("epsilon", 1e-5f);
  Tensor y(DType::kFloat32, x.shape());
  const int64_t per_group = e.channels / groups, length = per_group * e.pixels;
  ctx.threads.For(e.samples * groups, 1 + kGrain / (length + 1), [&](size_t begin, size_t end) {
    for (int64_t g = begin; g < static_cast<int64_t>(end); ++g) {
      const float* in = x.data<float>() + g * length;
      const vmath::Moments m = vmath::MomentsOf(in, length);
      const double inverse = 1.0 / std::sqrt(m.variance + epsilon);
      for (int64_t i = 0; i < length; ++i) {
        const int64_t c = g % groups * per_group + i / e.pixels;
        const float scale = static_cast<float>(gamma[c] * inverse);
        y.data<float>()[g * length + i] = static_cast<float>(in[i] - m.mean) * scale + beta[c];
      }
    }
  });
  ctx.out[0] = y;
}

void InstanceNormalization(OpContext& ctx) { NormalizeGroups(ctx, ctx.Plain(0).dim(1)); }
void GroupNormalization(OpContext& ctx) { NormalizeGroups(ctx, ctx.node.Int("num_groups", 1)); }

// x / (bias + alpha / size * sum of squares of `size` channels around) ^ beta
void Lrn(OpContext& ctx) {
  const Tensor& x = ctx.Plain(0);
  const Extents e = ReadExtents(ctx.node, x);
  const int64_t size = ctx.node.Int("size", 1);
  const float alpha = ctx.node.Float("alpha", 1e-4f), beta = ctx.node.Float("beta", 0.75f);
  const float bias = ctx.node.Float("bias", 1.0f);
  Tensor y(DType::kFloat32, x.shape());
  ctx.threads.For(e.samples * e.channels, 1, [&](size_t begin, size_t end) {
    std::vector<float> squares(e.pixels);
    for (int64_t r = begin; r < static_cast<int64_t>(end); ++r) {
      const int64_t n = r / e.channels, c = r % e.channels;
      const float* sample = x.data<float>() + n * e.channels * e.pixels;
      std::fill(squares.begin(), squares.end(), 0.0f);
      const int64_t first = std::max<int64_t>(0, c - (size - 1) / 2);
      const int64_t end_c = std::min(e.channels, c + size / 2 + 1);
      for (int64_t k = first; k < end_c; ++k)
        for (int64_t i = 0; i < e.pixels; ++i)
          squares[i] += sample[k * e.pixels + i] * sample[k * e.pixels + i];
      for (int64_t i = 0; i < e.pixels; ++i)
        y.data<float>()[r * e.pixels + i] =
            sample[c * e.pixels + i] /
            std::pow(bias + alpha / static_cast<float>(size) * squares[i], beta);
    }
  });
  ctx.out[0] = y;
}

}  // namespace

void AddNorm(OpTable& table) {
  table.Add("BatchNormalization", AsFloat32<BatchNormalization>, true);
  table.Add("InstanceNormalization", AsFloat32<InstanceNormalization>);
  table.Add("GroupNormalization", AsFloat32<GroupNormalization>);
  table.Add("LRN", AsFloat32<Lrn>);
  AddNormOverAxes(table);
}

}  // namespace mezzo
