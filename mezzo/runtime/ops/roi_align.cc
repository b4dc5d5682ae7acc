// RoiAlign: pools bilinear samples of a region of the input into a fixed grid.
#include <algorithm>
#include <cmath>

#include "mezzo/runtime/ops/pool.h"

namespace mezzo {
namespace {

struct Region {
  float y0, x0, bin_h, bin_w;
  int64_t samples_h, samples_w;  // per bin
};

Region ReadRegion(const Node& node, const float* roi, int64_t out_h, int64_t out_w) {
  const float scale = node.Float("spatial_scale", 1.0f);
  const bool half = node.String("coordinate_transformation_mode", "half_pixel") == "half_pixel";
  const float shift = half ? 0.5f : 0.0f;
  const int64_t ratio = node.Int("sampling_ratio", 0);
  Region r;
  r.x0 = roi[0] * scale - shift, r.y0 = roi[1] * scale - shift;
  float width = roi[2] * scale - shift - r.x0, height = roi[3] * scale - shift - r.y0;
  if (!half) width = std::max(width, 1.0f), height = std::max(height, 1.0f);
  r.bin_h = height / static_cast<float>(out_h), r.bin_w = width / static_cast<float>(out_w);
  r.samples_h = ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(r.bin_h));
  r.samples_w = ratio > 0 ? ratio : static_cast<int64_t>(std::ceil(r.bin_w));
  return r;
}

// The four weighted corners: summed, or for mode "max" their largest.
float Sample(const float* x, int64_t h, int64_t w, float py, float px, bool max) {
  if (py < -1 || py > h || px < -1 || px > w) return 0;
  py = std::max(py, 0.0f), px = std::max(px, 0.0f);
  const int64_t y0 = std::min<int64_t>(py, h - 1), x0 = std::min<int64_t>(px, w - 1);
  const int64_t y1 = std::min(y0 + 1, h - 1), x1 = std::min(x0 + 1, w - 1);
  const float fy = y0 == h - 1 ? 0.0f : py - y0, fx = x0 == w - 1 ? 0.0f : px - x0;
  const float a = (1 - fy) * (1 - fx) * x[y0 * w + x0], b = (1 - fy) * fx * x[y0 * w + x1];
  const float c = fy * (1 - fx) * x[y1 * w + x0], d = fy * fx * x[y1 * w + x1];
  return max ? std::max({a, b, c, d}) : a + b + c + d;
}

float PoolBin(const float* x, int64_t h, int64_t w, const Region& r, int64_t i, int64_t j,
              bool max) {
  float sum = 0, most = -INFINITY;
  for (int64_t a = 0; a < r.samples_h; ++a)
    for (int64_t b = 0; b < r.samples_w; ++b) {
      const float y = r.y0 + (i + (a + 0.5f) / r.samples_h) * r.bin_h;
      const float at = r.x0 + (j + (b + 0.5f) / r.samples_w) * r.bin_w;
      const float v = Sample(x, h, w, y, at, max);
      sum += v, most = std::max(most, v);
    }
  const int64_t count = r.samples_h * r.samples_w;
  if (count == 0) return 0;
  return max ? most : sum / static_cast<float>(count);
}

}  // namespace

void RoiAlign(OpContext& ctx) {
  const Tensor &x = ctx.Plain(0), &rois = ctx.Plain(1);
  const auto batch = ToInts(ctx.Plain(2));
  Require(x.rank() == 4 && rois.rank() == 2 && rois.dim(1) == 4 &&
              batch.size() == static_cast<size_t>(rois.dim(0)),
          "RoiAlign ", ctx.node.name, ": input ", ToString(x.shape()), ", rois ",
          ToString(rois.shape()), ", ", batch.size(), " batch indices");
  const int64_t out_h = ctx.node.Int("output_height", 1), out_w = ctx.node.Int("output_width", 1);
  const bool max = ctx.node.String("mode", "avg") == "max";
  const int64_t channels = x.dim(1), h = x.dim(2), w = x.dim(3);
  Tensor y(DType::kFloat32, {rois.dim(0), channels, out_h, out_w});
  float* to = y.data<float>();
  for (int64_t r = 0; r < rois.dim(0); ++r) {
    Require(batch[r] >= 0 && batch[r] < x.dim(0), "RoiAlign ", ctx.node.name, ": batch index ",
            batch[r], " of ", x.dim(0));
    const Region region = ReadRegion(ctx.node, rois.data<float>() + 4 * r, out_h, out_w);
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < out_h; ++i)
        for (int64_t j = 0; j < out_w; ++j)
          *to++ =
              PoolBin(x.data<float>() + (batch[r] * channels + c) * h * w, h, w, region, i, j, max);
  }
  ctx.out[0] = y;
}

}  // namespace mezzo
