#include "mezzo/evaluate/preprocess.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace mezzo {
namespace {

Image ResizeFor(const Preprocess& p, const Image& image) {
  const auto& r = p.resize;
  const double w = image.width, h = image.height;
  switch (r.mode) {
    case ResizeMode::kNone:
      return image;
    case ResizeMode::kExact:
      return Resize(image, r.width, r.height, r.filter);
    case ResizeMode::kShorter: {
      const int shorter = std::min(image.width, image.height),
                longer = std::max(image.width, image.height);
      if (shorter == r.height) return image;
      const double exact = static_cast<double>(r.height) * longer / shorter;
      const auto length = static_cast<int>(std::min<double>(std::nearbyint(exact), kMaxPixels + 1));
      return longer == image.width ? Resize(image, length, r.height, r.filter)
                                   : Resize(image, r.height, length, r.filter);
    }
    case ResizeMode::kHeight: {
      double width = std::max<double>(r.min_width, std::nearbyint(w * r.height / h));
      if (p.fixed_width > 0) width = std::min<double>(width, p.fixed_width);
      return Resize(image, static_cast<int>(std::min<double>(width, kMaxPixels)), r.height,
                    r.filter);
    }
  }
  return image;
}

// Both are rounded to 8 bits, as every tool that works on pictures does.
uint8_t Luma(const uint8_t* rgb, Channels kind) {
  if (kind == Channels::kLuma)
    return static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
  return static_cast<uint8_t>(
      std::lround(16 + (65.481 * rgb[0] + 128.553 * rgb[1] + 24.966 * rgb[2]) / 255));
}

}  // namespace

Tensor Preprocess::Apply(const Image& original) const {
  Image image = ResizeFor(*this, original);
  if (crop_height > 0) image = CentreCrop(image, crop_width, crop_height);

  const int n = channel_count();
  std::array<std::array<float, 256>, 3> value{};  // by channel and code
  for (int c = 0; c < n; ++c)
    for (int code = 0; code < 256; ++code)
      value[c][code] = static_cast<float>((code * scale - mean[mean.size() > 1 ? c : 0]) /
                                          std[std.size() > 1 ? c : 0]);

  const int64_t h = image.height, w = image.width;
  const int64_t padded =
      std::max<int64_t>(fixed_width, (w + width_multiple - 1) / width_multiple * width_multiple);
  const bool nchw = layout == PixelLayout::kNchw;
  Tensor out(DType::kFloat32, nchw ? Shape{1, n, h, padded} : Shape{1, h, padded, n});
  if (padded > w) std::ranges::fill(out.span<float>(), static_cast<float>(pad_value));
  const int64_t channel_step = nchw ? h * padded : 1, pixel_step = nchw ? 1 : n;
  for (int64_t y = 0; y < h; ++y) {
    const uint8_t* from = &image.pixels[static_cast<size_t>(y * w) * 3];
    float* to = out.data<float>() + y * padded * pixel_step;
    for (int64_t x = 0; x < w; ++x, from += 3, to += pixel_step) {
      if (n == 1) {
        *to = value[0][Luma(from, channels)];
        continue;
      }
      for (int c = 0; c < 3; ++c)
        to[c * channel_step] = value[c][from[channels == Channels::kBgr ? 2 - c : c]];
    }
  }
  return out;
}

}  // namespace mezzo
