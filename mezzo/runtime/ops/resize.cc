// Resize (opset 19 and up), one axis after the other, in the memory order of the input.
#include "mezzo/runtime/ops/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"
#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {
namespace {

struct Target {
  std::vector<int64_t> sizes;
  std::vector<double> scales, roi_begin, roi_end;
};

// Sizes given under a policy that keeps the aspect ratio: one scale for all resized axes.
void KeepAspect(const std::string& policy, const Shape& shape, const std::vector<size_t>& axes,
                Target& t) {
  if (policy == "stretch") return;
  Require(policy == "not_larger" || policy == "not_smaller",
          "Resize: unknown keep_aspect_ratio_policy \"", policy, "\"");
  double scale = t.scales[axes.at(0)];
  for (const size_t a : axes)
    scale = policy == "not_larger" ? std::min(scale, t.scales[a]) : std::max(scale, t.scales[a]);
  for (const size_t a : axes) {
    t.scales[a] = scale;
    t.sizes[a] = static_cast<int64_t>(std::floor(scale * static_cast<double>(shape[a]) + 0.5));
  }
}

Target ReadTarget(OpContext& ctx, const Shape& shape) {
  const Node& node = ctx.node;
  std::vector<size_t> axes;
  for (const int64_t a : node.Ints("axes")) axes.push_back(NormalAxis(a, shape.size()));
  if (!node.Has("axes")) {
    axes.resize(shape.size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  Target t{shape, std::vector<double>(shape.size(), 1.0), std::vector<double>(shape.size(), 0.0),
           std::vector<double>(shape.size(), 1.0)};
  const auto floats = [&](size_t i, size_t count) {
    const Tensor values = Cast(ctx.Plain(i), DType::kFloat64);
    Require(values.numel() == static_cast<int64_t>(count), "Resize ", node.name, ": input ", i,
            " has ", values.numel(), " values, needs ", count);
    return std::vector<double>(values.data<double>(), values.data<double>() + count);
  };
  if (ctx.Has(1) && ctx.in[1].numel() > 0) {
    const auto roi = floats(1, 2 * axes.size());
    for (size_t i = 0; i < axes.size(); ++i)
      t.roi_begin[axes[i]] = roi[i], t.roi_end[axes[i]] = roi[axes.size() + i];
  }
  if (ctx.Has(2) && ctx.in[2].numel() > 0) {
    const auto scales = floats(2, axes.size());
    for (size_t i = 0; i < axes.size(); ++i) {
      const size_t a = axes[i];
      Require(scales[i] > 0, "Resize ", node.name, ": scale ", scales[i]);
      t.scales[a] = scales[i];
      t.sizes[a] = static_cast<int64_t>(std::floor(scales[i] * static_cast<double>(shape[a])));
    }
    return t;
  }
  const auto sizes = ToInts(ctx.Plain(3));
  Require(sizes.size() == axes.size(), "Resize ", node.name, ": ", sizes.size(), " sizes for ",
          axes.size(), " axes");
  for (size_t i = 0; i < axes.size(); ++i) {
    Require(sizes[i] >= 0 && shape[axes[i]] > 0, "Resize ", node.name, ": size ", sizes[i],
            " from ", shape[axes[i]]);
    t.sizes[axes[i]] = sizes[i];
    t.scales[axes[i]] = static_cast<double>(sizes[i]) / static_cast<double>(shape[axes[i]]);
  }
  KeepAspect(node.String("keep_aspect_ratio_policy", "stretch"), shape, axes, t);
  return t;
}

// (outer, axis.in, inner) to (outer, axis.out, inner), moving elements of one type.
template <class T>
void GatherAxis(const T* x, const ResizeAxis& axis, int64_t outer, int64_t inner, T* y) {
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i = 0; i < axis.out; ++i, y += inner)
      std::copy_n(x + (o * axis.in + axis.index[i]) * inner, inner, y);
}

void InterpolateAxis(const float* x, const ResizeAxis& axis, int64_t outer, int64_t inner, float* y,
                     const Threads& threads) {
  const int64_t rows = outer * axis.out, taps = axis.taps;
  threads.For(rows, 1 + kGrain / (inner * taps + 1), [&](size_t begin, size_t end) {
    for (int64_t r = begin; r < static_cast<int64_t>(end); ++r) {
      const int64_t o = r / axis.out, i = r % axis.out;
      float* to = y + r * inner;
      std::fill(to, to + inner, 0.0f);
      for (int64_t j = 0; j < taps; ++j) {
        const float w = axis.weights[i * taps + j];
        const float* from = x + (o * axis.in + axis.index[i * taps + j]) * inner;
        for (int64_t k = 0; k < inner; ++k) to[k] += w * from[k];
      }
    }
  });
}

void Extrapolate(const ResizeAxis& axis, int64_t outer, int64_t inner, float value, float* y) {
  for (int64_t r = 0; r < outer * axis.out; ++r)
    if (axis.outside[r % axis.out]) std::fill(y + r * inner, y + (r + 1) * inner, value);
}

// One axis of x, whose dimensions in memory order are `dims`; they are updated.
Tensor ResizeOne(const Tensor& x, Shape& dims, size_t at, const ResizeAxis& axis,
                 float extrapolation, const Threads& threads) {
  const AxisView v(dims, at);
  dims[at] = axis.out;
  Tensor y(x.dtype(), dims);
  if (y.numel() == 0) return y;
  if (axis.weights.empty())
    WithSize(SizeOf(x.dtype()), [&]<class T>() {
      GatherAxis(static_cast<const T*>(x.raw()), axis, v.outer, v.inner, static_cast<T*>(y.raw()));
    });
  else
    InterpolateAxis(x.data<float>(), axis, v.outer, v.inner, y.data<float>(), threads);
  if (!axis.outside.empty() && x.dtype() == DType::kFloat32)
    Extrapolate(axis, v.outer, v.inner, extrapolation, y.data<float>());
  return y;
}

// Back from float to a type of integers: rounds half to even, saturates.
Tensor RoundTo(const Tensor& t, DType type) {
  if (type == DType::kFloat32) return t;
  Tensor r = t.Clone();
  if (type != DType::kFloat64 && !IsHalf(type))
    for (float& v : r.span<float>()) v = std::nearbyint(v);
  return Cast(r, type);
}

void Resize(OpContext& ctx) {
  const Node& node = ctx.node;
  const Shape shape = ctx.in[0].shape();
  const DType type = ctx.in[0].dtype();
  const Layout layout = ctx.in[0].layout();
  const Target target = ReadTarget(ctx, shape);
  const ResizeOptions options{node.String("mode", "nearest"),
                              node.String("coordinate_transformation_mode", "half_pixel"),
                              node.String("nearest_mode", "round_prefer_floor"),
                              node.Float("cubic_coeff_a", -0.75f),
                              node.Int("antialias", 0) != 0,
                              node.Int("exclude_outside", 0) != 0};
  Tensor t = ctx.in[0];
  if (options.mode != "nearest" && type != DType::kFloat32)
    t = Cast(t.ToLayout(Layout::kPlain), DType::kFloat32);
  const bool last = t.layout() == Layout::kChannelsLast;

  Shape dims = shape;  // in memory order, with the dimension each stands for
  std::vector<size_t> logical(shape.size());
  std::iota(logical.begin(), logical.end(), 0);
  if (last) std::rotate(logical.begin() + 1, logical.begin() + 2, logical.end());
  for (size_t i = 0; i < dims.size(); ++i) dims[i] = shape[logical[i]];
  bool changed = false;
  for (size_t i = 0; i < dims.size(); ++i) {
    const size_t a = logical[i];
    const bool cropped = target.roi_begin[a] != 0.0 || target.roi_end[a] != 1.0;
    const bool crops = options.coordinates == "tf_crop_and_resize" && cropped;
    if (target.scales[a] == 1.0 && target.sizes[a] == shape[a] && !crops) continue;
    const ResizeAxis axis = MakeResizeAxis(options, shape[a], target.sizes[a], target.scales[a],
                                           target.roi_begin[a], target.roi_end[a]);
    t = ResizeOne(t, dims, i, axis, node.Float("extrapolation_value", 0.0f), ctx.threads);
    changed = true;
  }
  if (!changed) {
    ctx.out[0] = ctx.in[0];
    return;
  }
  if (last) {  // the same numbers under the tag of their layout
    Tensor y(t.dtype(), target.sizes, layout);
    std::memcpy(y.raw(), t.raw(), t.bytes());
    t = y;
  }
  ctx.out[0] = t.dtype() == type ? t : RoundTo(t, type);
}

}  // namespace

void AddResize(OpTable& table) {
  table.Add("Resize", Resize, true);
  table.Add("GridSample", AsFloat32<GridSample>);
  table.Add("AffineGrid", AsFloat32<AffineGrid>);
}

}  // namespace mezzo
