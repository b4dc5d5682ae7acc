// GridSample and AffineGrid over two or three spatial dimensions.
#include <algorithm>
#include <array>
#include <cmath>

#include "mezzo/runtime/ops/resize.h"

namespace mezzo {
namespace {

struct Sampler {
  std::array<int64_t, 3> in{1, 1, 1};
  size_t rank;
  bool align, cubic, nearest;
  std::string padding;

  // From [-1, 1] to pixels.
  double Unscale(double g, size_t d) const {
    const double n = static_cast<double>(in[d]);
    return align ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
  }

  // Mirrors x between the first and last pixel, or their outer edges.
  double Reflect(double x, size_t d) const {
    const double low = align ? 0 : -0.5, high = static_cast<double>(in[d]) - (align ? 1 : 0.5);
    const double range = high - low;
    if (range <= 0) return 0;
    double t = std::fmod(std::abs(x - low), 2 * range);
    if (t > range) t = 2 * range - t;
    return low + t;
  }

  // The pixel that index i stands for, or -1 where zeros are read.
  int64_t Index(int64_t i, size_t d) const {
    if (i >= 0 && i < in[d]) return i;
    if (padding == "zeros") return -1;
    if (padding == "reflection")
      i = static_cast<int64_t>(std::floor(Reflect(static_cast<double>(i), d) + (align ? 0 : 0.5)));
    return std::clamp<int64_t>(i, 0, in[d] - 1);
  }

  int64_t taps() const { return nearest ? 1 : cubic ? 4 : 2; }

  // Indices and weights along dimension d at coordinate x.
  void Taps(double x, size_t d, int64_t* index, double* weights) const {
    if (nearest) {
      index[0] = Index(static_cast<int64_t>(std::nearbyint(x)), d);
      weights[0] = 1;
      return;
    }
    const auto first = static_cast<int64_t>(std::floor(x)) - (cubic ? 1 : 0);
    const double f = x - std::floor(x);
    for (int64_t j = 0; j < taps(); ++j) index[j] = Index(first + j, d);
    if (!cubic) {
      weights[0] = 1 - f, weights[1] = f;
      return;
    }
    constexpr double a = -0.75;
    for (int64_t j = 0; j < 4; ++j) {
      const double t = std::abs(static_cast<double>(j) - 1 - f);
      weights[j] =
          t <= 1 ? ((a + 2) * t - (a + 3)) * t * t + 1 : ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
    }
  }
};

// Sets index and weights of each dimension for one grid point; the grid names the last dimension
// first.
void PointTaps(const Sampler& s, const float* grid, int64_t (&index)[3][4],
               double (&weights)[3][4]) {
  for (size_t d = 0; d < 3; ++d) {
    if (d < 3 - s.rank) {
      index[d][0] = 0, weights[d][0] = 1;
      continue;
    }
    double x = s.Unscale(grid[2 - d], d);
    // Interpolation along a reflected or clamped coordinate; cubic taps are brought back one by
    // one.
    if (s.padding == "border" && !s.cubic) x = std::clamp(x, 0.0, static_cast<double>(s.in[d] - 1));
    if (s.padding == "reflection" && !s.cubic) x = s.Reflect(x, d);
    s.Taps(x, d, index[d], weights[d]);
  }
}

float SampleAt(const Sampler& s, const float* x, const int64_t (&index)[3][4],
               const double (&weights)[3][4]) {
  const int64_t taps = s.taps(), depth = s.rank == 3 ? taps : 1;
  double sum = 0;
  for (int64_t a = 0; a < depth; ++a)
    for (int64_t b = 0; b < taps; ++b)
      for (int64_t c = 0; c < taps; ++c) {
        const int64_t d = index[0][a], h = index[1][b], w = index[2][c];
        if (d < 0 || h < 0 || w < 0) continue;
        sum += weights[0][a] * weights[1][b] * weights[2][c] * x[(d * s.in[1] + h) * s.in[2] + w];
      }
  return static_cast<float>(sum);
}

}  // namespace

void GridSample(OpContext& ctx) {
  const Tensor &x = ctx.Plain(0), &grid = ctx.Plain(1);
  const std::string mode = ctx.node.String("mode", "linear");
  Sampler s;
  s.rank = x.rank() - 2;
  Require((s.rank == 2 || s.rank == 3) && grid.rank() == x.rank() && grid.dim(0) == x.dim(0) &&
              grid.dim(grid.rank() - 1) == static_cast<int64_t>(s.rank),
          "GridSample ", ctx.node.name, ": input ", ToString(x.shape()), " with a grid ",
          ToString(grid.shape()));
  std::copy(x.shape().begin() + 2, x.shape().end(), s.in.end() - s.rank);
  s.align = ctx.node.Int("align_corners", 0) != 0;
  s.cubic = mode == "cubic" || mode == "bicubic";
  s.nearest = mode == "nearest";
  s.padding = ctx.node.String("padding_mode", "zeros");
  Shape shape{x.dim(0), x.dim(1)};
  shape.insert(shape.end(), grid.shape().begin() + 1, grid.shape().end() - 1);
  Tensor y(DType::kFloat32, shape);
  const int64_t channels = x.dim(1), points = grid.numel() / x.dim(0) / s.rank;
  const int64_t pixels = s.in[0] * s.in[1] * s.in[2];
  ctx.threads.For(x.dim(0) * points, 256, [&](size_t begin, size_t end) {
    int64_t index[3][4];
    double weights[3][4];
    for (int64_t i = begin; i < static_cast<int64_t>(end); ++i) {
      PointTaps(s, grid.data<float>() + i * s.rank, index, weights);
      const int64_t n = i / points;
      for (int64_t c = n * channels; c < (n + 1) * channels; ++c)
        y.data<float>()[c * points + i % points] =
            SampleAt(s, x.data<float>() + c * pixels, index, weights);
    }
  });
  ctx.out[0] = y;
}

// grid[n, point, :] = theta[n] * (coordinates of the point, 1)
void AffineGrid(OpContext& ctx) {
  const Tensor& theta = ctx.Plain(0);
  const Shape size = ToInts(ctx.Plain(1));
  const int64_t rank = static_cast<int64_t>(size.size()) - 2;
  Require((rank == 2 || rank == 3) && theta.shape() == Shape{size[0], rank, rank + 1},
          "AffineGrid ", ctx.node.name, ": theta ", ToString(theta.shape()), " for a size ",
          ToString(size));
  const bool align = ctx.node.Int("align_corners", 0) != 0;
  Shape shape{size[0]};
  shape.insert(shape.end(), size.begin() + 2, size.end());
  const int64_t points = NumElements(shape) / std::max<int64_t>(size[0], 1);
  shape.push_back(rank);
  Tensor y(DType::kFloat32, shape);
  const auto coordinate = [&](int64_t i, int64_t n) -> double {
    if (align) return n == 1 ? 0 : -1 + 2.0 * static_cast<double>(i) / static_cast<double>(n - 1);
    return (2.0 * static_cast<double>(i) + 1) / static_cast<double>(n) - 1;
  };
  for (int64_t i = 0; i < size[0] * points; ++i) {
    double at[4];  // the last dimension first, then 1
    int64_t rest = i % points;
    for (int64_t d = 0; d < rank; ++d) {
      const int64_t extent = size[size.size() - 1 - d];
      at[d] = coordinate(rest % extent, extent);
      rest /= extent;
    }
    at[rank] = 1;
    for (int64_t r = 0; r < rank; ++r) {
      const float* row = theta.data<float>() + (i / points * rank + r) * (rank + 1);
      double sum = 0;
      for (int64_t c = 0; c <= rank; ++c) sum += row[c] * at[c];
      y.data<float>()[i * rank + r] = static_cast<float>(sum);
    }
  }
  ctx.out[0] = y;
}

}  // namespace mezzo
