// Resize of image.h: out = sum over the window of weight * in, window and weights those of the
// filter stretched by max(1, in/out) about the output pixel's centre, cut off at the border and
// normalized.
#include <algorithm>
#include <cmath>

#include "mezzo/base/error.h"
#include "mezzo/evaluate/image.h"

namespace mezzo {
namespace {

constexpr int kFractionBits =
    22;  // 8-bit values, weights below 2 in magnitude: sums stay inside 32 bits

double Triangle(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

// Keys' cubic with a = -0.5.
double Cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

struct Window {
  int first = 0, count = 0;
};

struct Weights {
  size_t stride = 0;  // weights a window may have
  std::vector<Window> windows;
  std::vector<int32_t> values;  // (out, stride)
};

Weights MakeWeights(int in, int out, Filter filter) {
  const auto kernel = filter == Filter::kBilinear ? Triangle : Cubic;
  const double scale = static_cast<double>(in) / out, stretch = std::max(scale, 1.0);
  const double support = (filter == Filter::kBilinear ? 1.0 : 2.0) * stretch,
               inverse = 1.0 / stretch;
  Weights w;
  w.stride = static_cast<size_t>(std::ceil(support)) * 2 + 1;
  w.windows.resize(static_cast<size_t>(out));
  w.values.resize(static_cast<size_t>(out) * w.stride);
  std::vector<double> real(w.stride);
  for (int o = 0; o < out; ++o) {
    const double centre = (o + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(centre - support + 0.5));
    const int count = std::min(in, static_cast<int>(centre + support + 0.5)) - first;
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += real[i] = kernel((i + first - centre + 0.5) * inverse);
    for (int i = 0; i < count; ++i) {
      const double v = (sum != 0 ? real[i] / sum : real[i]) * (1 << kFractionBits);
      w.values[o * w.stride + i] = static_cast<int32_t>(v < 0 ? v - 0.5 : v + 0.5);
    }
    w.windows[o] = {first, count};
  }
  return w;
}

uint8_t ToByte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

Image ResizeRows(const Image& in, int width, Filter filter) {
  const Weights w = MakeWeights(in.width, width, filter);
  Image out(width, in.height);
  for (int y = 0; y < in.height; ++y) {
    const uint8_t* row = &in.pixels[static_cast<size_t>(y) * in.width * 3];
    uint8_t* to = &out.pixels[static_cast<size_t>(y) * width * 3];
    for (int x = 0; x < width; ++x, to += 3) {
      const int32_t* weight = &w.values[x * w.stride];
      const uint8_t* from = row + static_cast<size_t>(w.windows[x].first) * 3;
      int32_t r = kHalf, g = kHalf, b = kHalf;
      for (int i = 0; i < w.windows[x].count; ++i, from += 3) {
        r += from[0] * weight[i];
        g += from[1] * weight[i];
        b += from[2] * weight[i];
      }
      to[0] = ToByte(r), to[1] = ToByte(g), to[2] = ToByte(b);
    }
  }
  return out;
}

Image ResizeColumns(const Image& in, int height, Filter filter) {
  const Weights w = MakeWeights(in.height, height, filter);
  Image out(in.width, height);
  const size_t row = static_cast<size_t>(in.width) * 3;
  std::vector<int32_t> sums(row);
  for (int y = 0; y < height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int i = 0; i < w.windows[y].count; ++i) {
      const uint8_t* from = &in.pixels[static_cast<size_t>(w.windows[y].first + i) * row];
      const int32_t weight = w.values[y * w.stride + i];
      for (size_t x = 0; x < row; ++x) sums[x] += from[x] * weight;
    }
    for (size_t x = 0; x < row; ++x) out.pixels[y * row + x] = ToByte(sums[x]);
  }
  return out;
}

}  // namespace

Image Resize(const Image& image, int width, int height, Filter filter) {
  Require(width > 0 && height > 0 && image.width > 0 && image.height > 0, "cannot resize ",
          image.width, " x ", image.height, " to ", width, " x ", height);
  Require(int64_t{width} * height <= kMaxPixels && int64_t{width} * image.height <= kMaxPixels,
          "cannot resize to ", width, " x ", height, ": the limit is ", kMaxPixels, " pixels");
  const Image wide = width == image.width ? image : ResizeRows(image, width, filter);
  return height == image.height ? wide : ResizeColumns(wide, height, filter);
}

}  // namespace mezzo
