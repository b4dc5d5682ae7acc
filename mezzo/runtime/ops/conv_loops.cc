// oneDNN 3.2 was measured first, one AVX2 core, layers of efficientnet_lite0 and resnet:
// channels-last in and out is its fastest form or within 10% of it (80-100 GFLOP/s), plain NCHW
// half as fast and depthwise unusable (2 GFLOP/s). The loops here reach 80-90 GFLOP/s on the deep
// layers and 25-35 depthwise, less than oneDNN's on shallow ones (3 to 16 channels in). For that
// they give the same bits for any threads and batch, need no reorders and no primitive per shape,
// and work in the caller's threads, where OpenMP's would spin beside them.

#include <algorithm>
#include <cmath>

#include "mezzo/base/simd.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/runtime/ops/conv.h"

namespace mezzo {

class PackedConv {
 public:
  int64_t groups = 1, channels_in = 0, channels_out = 0, taps = 0;  // channels of one group
  std::vector<PackedB> matrices;  // (taps * channels_in, channels_out), one per group
  Tensor depthwise;               // (taps, padded groups) where groups have one channel in and out

  bool IsDepthwise() const { return depthwise.defined(); }
};

namespace {

constexpr int64_t kLane = 8;

// Where each tap of some output pixels of one sample begins, row by row; padding reads zeros.
struct Segments {
  std::vector<const float*> pointers;
  std::vector<float> rows;

  void Fill(const Window& w, const float* x, int64_t stride, const float* zeros, int64_t begin,
            int64_t count) {
    const int64_t taps = w.taps();
    if (pointers.size() < static_cast<size_t>(count * taps)) pointers.resize(count * taps);
    TapWalk walk(w, begin, stride);
    for (int64_t i = 0; i < count; ++i) walk.Next(x, zeros, pointers.data() + i * taps);
  }

  // Joins the segments, of up to four channels, of each row: that costs less than the jumps do.
  void Join(int64_t count, int64_t taps, int64_t depth) {
    rows.resize(count * taps * depth + 4);
    float* to = rows.data();
    // Four numbers are copied and the next copy begins after `depth`: tensors can be read past
    // their end.
    for (int64_t i = 0; i < count * taps; ++i, to += depth)
      _mm_storeu_ps(to, _mm_loadu_ps(pointers[i]));
    for (int64_t i = 0; i < count; ++i) pointers[i] = rows.data() + i * taps * depth;
  }
};

struct Task {
  const Window& w;
  const PackedConv& weights;
  const float* bias;   // or null
  const float* zeros;  // as many as a pixel has channels
};

// Output pixels [begin, begin + count) of a sample, group g, panels [p0, p1).
void ConvBlock(const Task& task, const float* x, float* y, int64_t g, int64_t begin, int64_t count,
               int64_t p0, int64_t p1) {
  thread_local Segments segments;
  const PackedConv& k = task.weights;
  segments.Fill(task.w, x + g * k.channels_in, k.groups * k.channels_in, task.zeros, begin, count);
  const int64_t first = g * k.channels_out, stride = k.groups * k.channels_out;
  const bool join = k.channels_in <= 4 && k.taps > 1;
  if (join) segments.Join(count, k.taps, k.channels_in);
  const GemmRows rows{segments.pointers.data(), join ? 1 : k.taps,
                      join ? k.taps * k.channels_in : k.channels_in};
  SgemmBlock(rows, count, k.matrices[g], p0, p1, y + begin * stride + first, stride,
             {task.bias ? task.bias + first : nullptr, 0});
}

// P pixels by V vectors of channels: each weight is loaded once for all pixels.
template <int P, int V>
inline void DepthwiseTile(const float* const* x, int64_t taps, const float* w, int64_t w_stride,
                          const float* bias, float* y, int64_t channels, int64_t c) {
  __m256 sum[P][V];
#pragma GCC unroll 4
  for (int v = 0; v < V; ++v) {
    const __m256 b = bias ? _mm256_loadu_ps(bias + c + v * kLane) : _mm256_setzero_ps();
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) sum[p][v] = b;
  }
  for (int64_t t = 0; t < taps; ++t) {
    __m256 k[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) k[v] = _mm256_loadu_ps(w + t * w_stride + c + v * kLane);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      const float* at = x[p * taps + t] + c;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v)
        sum[p][v] = _mm256_fmadd_ps(_mm256_loadu_ps(at + v * kLane), k[v], sum[p][v]);
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < P; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) _mm256_storeu_ps(y + p * channels + c + v * kLane, sum[p][v]);
}

template <int P>
void DepthwisePixels(const float* const* x, const Task& task, float* y) {
  const int64_t taps = task.weights.taps, channels = task.weights.groups;
  const float* w = task.weights.depthwise.data<float>();
  const int64_t w_stride = task.weights.depthwise.dim(1);
  int64_t c = 0;
  for (; c + 2 * kLane <= channels; c += 2 * kLane)
    DepthwiseTile<P, 2>(x, taps, w, w_stride, task.bias, y, channels, c);
  for (; c + kLane <= channels; c += kLane)
    DepthwiseTile<P, 1>(x, taps, w, w_stride, task.bias, y, channels, c);
  for (; c < channels; ++c)
    for (int p = 0; p < P; ++p) {
      float sum = task.bias ? task.bias[c] : 0.0f;
      for (int64_t t = 0; t < taps; ++t)
        sum = std::fma(x[p * taps + t][c], w[t * w_stride + c], sum);
      y[p * channels + c] = sum;
    }
}

void DepthwiseBlock(const Task& task, const float* x, float* y, int64_t begin, int64_t count) {
  thread_local Segments segments;
  const int64_t channels = task.weights.groups, taps = task.weights.taps;
  segments.Fill(task.w, x, channels, task.zeros, begin, count);
  const float* const* at = segments.pointers.data();
  y += begin * channels;
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) DepthwisePixels<4>(at + i * taps, task, y + i * channels);
  for (; i < count; ++i) DepthwisePixels<1>(at + i * taps, task, y + i * channels);
}

void RunDepthwise(const Task& task, const Tensor& x, Tensor& y, const Threads& threads) {
  const int64_t out = task.w.out_size(), channels = task.weights.groups;
  constexpr int64_t kPixels = 64;
  const int64_t blocks = (out + kPixels - 1) / kPixels;
  const int64_t work = kPixels * channels * task.weights.taps;
  threads.For(x.dim(0) * blocks, 1 + 50000 / (work + 1), [&](size_t begin, size_t end) {
    for (int64_t i = begin; i < static_cast<int64_t>(end); ++i) {
      const int64_t n = i / blocks, first = i % blocks * kPixels;
      DepthwiseBlock(task, x.data<float>() + n * task.w.in_size() * channels,
                     y.data<float>() + n * out * channels, first, std::min(kPixels, out - first));
    }
  });
}

void RunMatrices(const Task& task, const Tensor& x, Tensor& y, const Threads& threads) {
  const PackedConv& k = task.weights;
  const int64_t out = task.w.out_size(), samples = x.dim(0);
  const int64_t panels = k.matrices[0].panels();
  const int64_t work = samples * out * y.dim(1) * k.channels_in * k.taps;
  const GemmCut cut = CutGemm(out, panels, samples * k.groups, work < 50000 ? 1 : threads.count());
  const int64_t blocks = (out + cut.rows - 1) / cut.rows;
  const int64_t strips = (panels + cut.panels - 1) / cut.panels;
  const auto run = [&](size_t index, size_t) {
    int64_t i = index;
    const int64_t panel = i % strips * cut.panels, row = i / strips % blocks * cut.rows;
    i /= strips * blocks;
    const int64_t g = i % k.groups, n = i / k.groups;
    ConvBlock(task, x.data<float>() + n * task.w.in_size() * x.dim(1),
              y.data<float>() + n * out * y.dim(1), g, row, std::min(cut.rows, out - row), panel,
              std::min(panel + cut.panels, panels));
  };
  const size_t parts = samples * k.groups * blocks * strips;
  if (work >= 50000) return threads.Each(parts, run);
  for (size_t i = 0; i < parts; ++i) run(i, 0);
}

}  // namespace

std::shared_ptr<const PackedConv> PackConv(const Tensor& weights, int64_t groups,
                                           const Threads& threads) {
  auto packed = std::make_shared<PackedConv>();
  PackedConv& p = *packed;
  p.groups = groups;
  p.channels_in = weights.dim(1);
  p.channels_out = weights.dim(0) / groups;
  const int64_t filter = weights.numel() / std::max<int64_t>(weights.dim(0), 1);
  p.taps = filter / std::max<int64_t>(p.channels_in, 1);
  const float* w = weights.data<float>();
  if (groups > 1 && p.channels_in == 1 && p.channels_out == 1) {
    const int64_t stride = (groups + kLane - 1) / kLane * kLane;
    p.depthwise = Tensor::Zeros(DType::kFloat32, {p.taps, stride});
    for (int64_t c = 0; c < groups; ++c)
      for (int64_t t = 0; t < p.taps; ++t)
        p.depthwise.data<float>()[t * stride + c] = w[c * p.taps + t];
    return packed;
  }
  // (M, C, taps) to (M, taps, C), then each group transposed into panels.
  const Tensor flat = weights.Reshape({weights.dim(0), p.channels_in, p.taps});
  const Tensor turned = flat.ToLayout(Layout::kChannelsLast);
  for (int64_t g = 0; g < groups; ++g)
    p.matrices.emplace_back(turned.data<float>() + g * p.channels_out * filter, filter,
                            p.channels_out, 1, filter, threads);
  return packed;
}

Tensor RunConv(const Tensor& x, const PackedConv& weights, const Tensor& bias, const Window& window,
               const Threads& threads) {
  Tensor y(DType::kFloat32,
           WindowShape(window, x.dim(0), weights.groups * weights.channels_out, window.out),
           Layout::kChannelsLast);
  const Tensor zeros = Tensor::Zeros(DType::kFloat32, {x.dim(1) + kLane});
  const Task task{window, weights, bias.defined() ? bias.data<float>() : nullptr,
                  zeros.data<float>()};
  if (y.numel() == 0) return y;
  if (weights.IsDepthwise())
    RunDepthwise(task, x, y, threads);
  else
    RunMatrices(task, x, y, threads);
  return y;
}

}  // namespace mezzo
