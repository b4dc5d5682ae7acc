// MaxPool for any number type, and MaxUnpool.
#include <algorithm>
#include <cmath>
#include <limits>

#include "mezzo/kernels/vmath/vector.h"
#include "mezzo/runtime/ops/pool.h"
#include "mezzo/runtime/ops/window.h"

namespace mezzo {
namespace {

template <class T>
bool Above(T v, T best) {
  if constexpr (std::is_floating_point_v<T>) return v > best || std::isnan(v);
  return v > best;
}

template <class T>
constexpr T Lowest() {
  if constexpr (std::is_floating_point_v<T>) return -std::numeric_limits<T>::infinity();
  return std::numeric_limits<T>::lowest();
}

// One output pixel of channels-last data: out[c] = max over taps.
template <class T>
void MaxRow(const T* in, T* out, int64_t channels, const std::vector<int64_t>& taps) {
  std::fill(out, out + channels, Lowest<T>());
  for (const int64_t t : taps) {
    if (t < 0) continue;
    // NaN is above everything, as in Above().
    vmath::Map2(in + t * channels, out, out, channels,
                [](auto v, auto best) { return ((v > best) | (v != v)) ? v : best; });
  }
}

template <class T>
void MaxPixels(const Tensor& x, const Window& w, Tensor& y, const Threads& threads) {
  const int64_t channels = x.dim(1), out = w.out_size();
  const T* from = x.data<T>();
  T* to = y.data<T>();
  const int64_t grain = 1 + 20000 / (channels * w.taps() + 1);
  threads.For(x.dim(0) * out, grain, [&](size_t begin, size_t end) {
    std::vector<int64_t> offsets(w.taps());
    TapWalk walk(w, begin % out);
    for (int64_t i = begin; i < static_cast<int64_t>(end); ++i) {
      walk.Next(offsets.data());
      MaxRow(from + i / out * w.in_size() * channels, to + i * channels, channels, offsets);
    }
  });
}

// The index that ONNX wants for an offset: column-major order counts the first spatial dimension
// fastest.
int64_t IndexOf(int64_t offset, const Window& w, bool column_major) {
  if (!column_major) return offset;
  const int64_t d = offset / (w.in[1] * w.in[2]), h = offset / w.in[2] % w.in[1];
  return d + w.in[0] * (h + w.in[1] * (offset % w.in[2]));
}

// Plain layout, with the flat index of each maximum.
template <class T>
void MaxWithIndices(const Tensor& x, const Window& w, bool column_major, Tensor& y, Tensor& index) {
  const int64_t planes = x.dim(0) * x.dim(1), out = w.out_size();
  std::vector<int64_t> offsets(w.taps());
  TapWalk walk(w, 0);
  for (int64_t o = 0; o < out; ++o) {
    walk.Next(offsets.data());
    for (int64_t p = 0; p < planes; ++p) {
      const T* in = x.data<T>() + p * w.in_size();
      T best = Lowest<T>();
      int64_t at = -1;
      for (const int64_t t : offsets)
        if (t >= 0 && (at < 0 || Above(in[t], best))) best = in[t], at = t;
      y.data<T>()[p * out + o] = best;
      index.data<int64_t>()[p * out + o] =
          p * w.in_size() + IndexOf(std::max<int64_t>(at, 0), w, column_major);
    }
  }
}

}  // namespace

void MaxPool(OpContext& ctx) {
  if (ctx.in[0].dtype() == DType::kFloat16 || ctx.in[0].dtype() == DType::kBFloat16) {
    const DType half = ctx.in[0].dtype();
    ctx.in[0] = Cast(ctx.in[0], DType::kFloat32);
    MaxPool(ctx);
    ctx.out[0] = Cast(ctx.out[0], half);
    return;
  }
  const Tensor& any = ctx.in[0];
  const Window w = ReadWindow(ctx.node, any.shape(), ctx.node.Ints("kernel_shape"));
  const Shape shape = WindowShape(w, any.dim(0), any.dim(1), w.out);
  Require(any.dtype() != DType::kBool, "MaxPool ", ctx.node.name, ": input of type bool");
  WithType(any.dtype(), [&]<class U>() {
    using T = std::conditional_t<std::is_same_v<U, bool>, uint8_t, U>;
    if (ctx.out.size() > 1) {
      ctx.out[0] = Tensor(any.dtype(), shape);
      ctx.out[1] = Tensor(DType::kInt64, shape);
      const bool column_major = ctx.node.Int("storage_order", 0) != 0;
      MaxWithIndices<T>(ctx.Plain(0), w, column_major, ctx.out[0], ctx.out[1]);
    } else {
      ctx.out[0] = Tensor(any.dtype(), shape, Layout::kChannelsLast);
      MaxPixels<T>(any.ToLayout(Layout::kChannelsLast), w, ctx.out[0], ctx.threads);
    }
  });
}

void MaxUnpool(OpContext& ctx) {
  const Tensor &x = ctx.Plain(0), &index = ctx.Plain(1);
  Require(x.rank() >= 3 && index.shape() == x.shape(), "MaxUnpool ", ctx.node.name, ": indices ",
          ToString(index.shape()), " for an input ", ToString(x.shape()));
  const size_t rank = x.rank() - 2;
  const auto kernel = ctx.node.Ints("kernel_shape");
  const auto pads = ctx.node.Ints("pads", std::vector<int64_t>(2 * rank, 0));
  const auto strides = ctx.node.Ints("strides", std::vector<int64_t>(rank, 1));
  Require(kernel.size() == rank && pads.size() == 2 * rank && strides.size() == rank, "MaxUnpool ",
          ctx.node.name, ": kernel_shape, pads and strides need ", rank, " dimensions");
  Shape inferred{x.dim(0), x.dim(1)};
  for (size_t i = 0; i < rank; ++i)
    inferred.push_back((x.dim(i + 2) - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i]);
  Shape shape = ctx.Has(2) ? ToInts(ctx.Plain(2)) : inferred;
  Require(shape.size() == x.rank(), "MaxUnpool ", ctx.node.name, ": output_shape ",
          ToString(shape));
  Tensor y = Tensor::Zeros(x.dtype(), shape);
  // Indices count in the inferred shape; a larger output_shape only adds zeros at the end of each
  // row.
  std::vector<int64_t> at(shape.size());
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = index.data<int64_t>()[i], to = 0;
    for (size_t d = shape.size(); d-- > 0; rest /= inferred[d]) at[d] = rest % inferred[d];
    bool inside = rest == 0;
    for (size_t d = 0; d < shape.size(); ++d) {
      inside = inside && at[d] >= 0 && at[d] < shape[d];
      to = to * shape[d] + at[d];
    }
    Require(inside, "MaxUnpool ", ctx.node.name, ": index ", index.data<int64_t>()[i],
            " is outside the output ", ToString(shape));
    WithType(x.dtype(), [&]<class T>() { y.data<T>()[to] = x.data<T>()[i]; });
  }
  ctx.out[0] = y;
}

}  // namespace mezzo
