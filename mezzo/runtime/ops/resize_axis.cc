// The coordinates and weights of Resize along one axis.
#include <algorithm>
#include <cmath>

#include "mezzo/runtime/ops/resize.h"

namespace mezzo {
namespace {

// Where output i lies on the input axis.
double SourceOf(const ResizeOptions& o, int64_t i, int64_t in, int64_t out, double scale,
                double roi_begin, double roi_end) {
  const double x = static_cast<double>(i), size = static_cast<double>(in), wide = scale * size;
  if (o.coordinates == "align_corners") return wide == 1 ? 0 : x * (size - 1) / (wide - 1);
  if (o.coordinates == "asymmetric") return x / scale;
  if (o.coordinates == "tf_crop_and_resize") {
    const double extent = (roi_end - roi_begin) * (size - 1);
    return roi_begin * (size - 1) + (wide == 1 ? extent / 2 : x * extent / (wide - 1));
  }
  if (o.coordinates == "pytorch_half_pixel" && wide == 1) return -0.5;
  double shift = 0;
  if (o.coordinates == "half_pixel_symmetric")
    shift = size / 2 * (1 - static_cast<double>(out) / wide);
  else
    Require(o.coordinates == "half_pixel" || o.coordinates == "pytorch_half_pixel",
            "Resize: unknown coordinate_transformation_mode \"", o.coordinates, "\"");
  return shift + (x + 0.5) / scale - 0.5;
}

int64_t Nearest(const std::string& mode, double x) {
  const double low = std::floor(x);
  if (mode == "floor") return static_cast<int64_t>(low);
  if (mode == "ceil") return static_cast<int64_t>(std::ceil(x));
  const bool down = mode == "round_prefer_ceil" ? x - low < 0.5 : x - low <= 0.5;
  return static_cast<int64_t>(down ? low : low + 1);
}

// The weight of a tap at distance d of the point, in units of the input's pixels (times the scale
// when antialiasing shrinks).
double KernelAt(const ResizeOptions& o, double d) {
  d = std::abs(d);
  if (o.mode == "linear") return std::max(0.0, 1 - d);
  const double a = o.cubic_a;
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

// Taps of output i: from `first` on, weights summing to 1 where they are normalized.
void FillTaps(const ResizeOptions& o, ResizeAxis& axis, int64_t i, double x, double shrink) {
  const int64_t reach = axis.taps / 2;
  const auto first = static_cast<int64_t>(std::floor(x)) - reach + 1;
  std::vector<double> weights(axis.taps);
  double sum = 0;
  for (int64_t j = 0; j < axis.taps; ++j) {
    const int64_t at = first + j;
    weights[j] = KernelAt(o, (static_cast<double>(at) - x) * shrink);
    if (o.exclude_outside && (at < 0 || at >= axis.in)) weights[j] = 0;
    sum += weights[j];
    axis.index[i * axis.taps + j] = std::clamp<int64_t>(at, 0, axis.in - 1);
  }
  const bool normalize = (o.exclude_outside || o.antialias) && sum != 0;
  for (int64_t j = 0; j < axis.taps; ++j)
    axis.weights[i * axis.taps + j] = static_cast<float>(normalize ? weights[j] / sum : weights[j]);
}

}  // namespace

ResizeAxis MakeResizeAxis(const ResizeOptions& o, int64_t in, int64_t out, double scale,
                          double roi_begin, double roi_end) {
  ResizeAxis axis{in, out};
  const bool nearest = o.mode == "nearest";
  Require(nearest || o.mode == "linear" || o.mode == "cubic", "Resize: unknown mode \"", o.mode,
          "\"");
  const double shrink = o.antialias ? std::min(scale, 1.0) : 1.0;
  const int64_t reach = o.mode == "cubic" ? 2 : 1;
  if (!nearest) axis.taps = 2 * static_cast<int64_t>(std::ceil(reach / shrink));
  axis.index.resize(out * axis.taps);
  if (!nearest) axis.weights.resize(out * axis.taps);
  if (o.coordinates == "tf_crop_and_resize") axis.outside.resize(out);
  for (int64_t i = 0; i < out; ++i) {
    const double x = SourceOf(o, i, in, out, scale, roi_begin, roi_end);
    if (!axis.outside.empty()) axis.outside[i] = x < 0 || x > static_cast<double>(in - 1);
    if (nearest)
      axis.index[i] = std::clamp<int64_t>(Nearest(o.nearest_mode, x), 0, in - 1);
    else
      FillTaps(o, axis, i, x, shrink);
  }
  return axis;
}

}  // namespace mezzo
