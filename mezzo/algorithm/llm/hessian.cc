#include "mezzo/algorithm/llm/hessian.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "mezzo/base/error.h"
#include "mezzo/kernels/attention/wide_product.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/transpose.h"
#include "mezzo/kernels/vmath/vector.h"

namespace mezzo {
namespace {

constexpr int64_t kBlock = 64;

// Rows as int16 codes with a scale for each column, as wide_product.h reads them from both sides.
// Sums over a chunk's rows fit int32.
class ColumnCodes {
 public:
  static constexpr int64_t kRows = 512;
  static constexpr float kTop = 2047;
  static_assert(kRows * static_cast<int64_t>(kTop) * static_cast<int64_t>(kTop) <
                (int64_t{1} << 31));

  // x: n <= kRows rows of d.
  ColumnCodes(const float* x, int64_t n, int64_t d, const Threads& threads)
      : pairs_((n + 1) / 2),
        panels_((d + kWidth - 1) / kWidth),
        codes_(DType::kInt16, {panels_, pairs_, kWidth, 2}),
        scales_(panels_ * kWidth) {
    threads.For(panels_, 4, [&](size_t begin, size_t end) {
      for (auto p = static_cast<int64_t>(begin); p < static_cast<int64_t>(end); ++p)
        for (int64_t half = 0; half < kWidth; half += 8)
          Pack(x + p * kWidth + half, n, d, std::clamp<int64_t>(d - p * kWidth - half, 0, 8), p,
               half);
    });
  }

  // y (rows, panels * kWidth): the products of columns [first, first + rows) with the first panels.
  void Multiply(int64_t first, int64_t rows, int64_t panels, float* y) const {
    Tensor left(DType::kInt16, {(rows + kWidth - 1) / kWidth * kWidth, pairs_, 2});
    for (int64_t r = 0; r < rows; r += kWidth)  // pairs of codes, moved as floats
      vmath::Transpose(reinterpret_cast<const float*>(Panel((first + r) / kWidth)), kWidth, pairs_,
                       kWidth, reinterpret_cast<float*>(left.data<int16_t>() + r * 2 * pairs_),
                       pairs_);
    WideProduct({left.data<int16_t>(), scales_.data() + first, rows, 2 * pairs_},
                {Panel(0), pairs_, panels, pairs_ * 2 * kWidth, scales_.data()}, y,
                panels * kWidth);
  }

 private:
  static constexpr int64_t kWidth = WidePanels::kWidth;

  const int16_t* Panel(int64_t p) const { return codes_.data<int16_t>() + p * pairs_ * 2 * kWidth; }

  // `there` of eight columns; zeros for the others.
  void Pack(const float* x, int64_t n, int64_t d, int64_t there, int64_t panel, int64_t half) {
    using vmath::F8, vmath::I8;
    const auto row = [&](int64_t t) {
      return t == n       ? F8{}
             : there == 8 ? vmath::Load(x + t * d)
                          : vmath::LoadPart(x + t * d, static_cast<size_t>(there));
    };
    I8 top{};  // compared as integers: NaN is above all numbers
    for (int64_t t = 0; t < n; ++t) {
      const auto bits = (I8)vmath::Abs(row(t));
      top = bits > top ? bits : top;
    }
    F8 scale = (F8)top / kTop;
    scale = scale < FLT_MIN ? vmath::Splat(FLT_MIN) : scale;
    vmath::Store(scales_.data() + panel * kWidth + half, scale);
    const F8 inverse = 1 / scale;
    const auto codes = [&](int64_t t) { return (I8)_mm256_cvtps_epi32(row(t) * inverse); };
    auto* to = codes_.data<int16_t>() + (panel * pairs_ * kWidth + half) * 2;
    for (int64_t t = 0; t < n; t += 2, to += 2 * kWidth) {
      const I8 pair = (codes(t) & 0xffff) | codes(t + 1) << 16;
      std::memcpy(to, &pair, sizeof(pair));
    }
  }

  int64_t pairs_, panels_;
  Tensor codes_;
  std::vector<float> scales_;
};

// Of columns [first, last): row k over its pivot, taken off the rows from `begin` to it.
void TakeRow(std::vector<float>& a, int64_t d, int64_t begin, int64_t k, int64_t first,
             int64_t last) {
  float* const row = a.data() + k * d;
  const float pivot = row[k];
  const int64_t before = std::min(last, k) - first;
  vmath::Map(row + first, row + first, before, [&](vmath::F8 v) { return v / pivot; });
  for (int64_t i = begin; i < k; ++i) {
    float* const to = a.data() + i * d + first;
    vmath::Map2(to, row + first, to, std::min(last, i + 1) - first,
                [f = row[i]](vmath::F8 v, vmath::F8 r) { return v - f * r; });
  }
}

// L of A = L^T L, L lower triangular, in place of A's lower half (the upper one is neither read nor
// written). From the last rows up, a block at a time. False if A is not positive definite.
bool FactorReversed(std::vector<float>& a, int64_t d, const Threads& threads) {
  for (int64_t end = d; end > 0; end = std::max<int64_t>(end - kBlock, 0)) {
    const int64_t begin = std::max<int64_t>(end - kBlock, 0);
    // Rows of the block, given that later blocks are taken off already: first the columns about the
    // diagonal, then those before them.
    for (int64_t k = end - 1; k >= begin; --k) {
      float& pivot = a[k * d + k];
      if (!(pivot > 0) || !std::isfinite(pivot)) return false;
      pivot = std::sqrt(pivot);
      TakeRow(a, d, begin, k, begin, end);
    }
    threads.For(begin, 256, [&](size_t first, size_t last) {
      for (int64_t k = end - 1; k >= begin; --k)
        TakeRow(a, d, begin, k, static_cast<int64_t>(first), static_cast<int64_t>(last));
    });
    // What the block explains, taken off the rows before it: A -= B^T B, B = L[begin:end, :begin].
    if (begin == 0) break;
    const int64_t depth = end - begin;
    std::vector<float> left(begin * depth);
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t i = 0; i < begin; ++i) left[i * depth + k] = -a[(begin + k) * d + i];
    const PackedB b(a.data() + begin * d, depth, begin, d, 1, threads);
    const int64_t tiles = (begin + kBlock - 1) / kBlock;
    threads.Each(static_cast<size_t>(tiles), [&](size_t t, size_t) {
      const int64_t first = (tiles - 1 - static_cast<int64_t>(t)) * kBlock;  // the largest first
      const int64_t rows = std::min(kBlock, begin - first);
      std::vector<const float*> segments(rows);
      for (int64_t r = 0; r < rows; ++r) segments[r] = left.data() + (first + r) * depth;
      const int64_t panels = (first + rows + PackedB::kWidth - 1) / PackedB::kWidth;
      float* c = a.data() + first * d;
      SgemmBlock({segments.data(), 1, depth}, rows, b, 0, std::min(panels, b.panels()), c, d,
                 {c, d});
    });
  }
  return true;
}

// The inverse of a lower triangular matrix, kBlock columns at a time.
std::vector<float> InverseOf(const std::vector<float>& l, int64_t d, const Threads& threads) {
  std::vector<float> x(d * d);
  const int64_t tiles = (d + kBlock - 1) / kBlock;
  threads.Each(static_cast<size_t>(tiles), [&](size_t tile, size_t) {
    const int64_t from = static_cast<int64_t>(tile) * kBlock, width = std::min(kBlock, d - from);
    // Minus the columns so far, in Sgemm's panels.
    constexpr int64_t kWidth = PackedB::kWidth;
    const int64_t stride = (d - from) * kWidth;
    Tensor panels(DType::kFloat32, {kBlock / kWidth, d - from, kWidth});
    float* const minus = panels.data<float>();
    for (int64_t begin = from; begin < d; begin += kBlock) {
      const int64_t rows = std::min(kBlock, d - begin);
      float block[kBlock][kBlock] = {};
      if (begin == from)
        for (int64_t j = 0; j < width; ++j) block[j][j] = 1;
      const float* segments[kBlock];
      for (int64_t r = 0; r < rows; ++r) segments[r] = l.data() + (begin + r) * d + from;
      if (begin > from)
        SgemmBlock({segments, 1, begin - from}, rows,
                   PackedB::View(minus, begin - from, kBlock, stride), 0, kBlock / kWidth, block[0],
                   kBlock, {});
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t k = begin + r;
        constexpr int64_t kVectors = kBlock / 8;
        vmath::F8 row[kVectors];
#pragma GCC unroll 8
        for (int64_t v = 0; v < kVectors; ++v) row[v] = vmath::Load(block[r] + 8 * v);
        for (int64_t i = 0; i < r; ++i) {
          const float f = l[k * d + begin + i];
#pragma GCC unroll 8
          for (int64_t v = 0; v < kVectors; ++v) row[v] -= f * vmath::Load(block[i] + 8 * v);
        }
#pragma GCC unroll 8
        for (int64_t v = 0; v < kVectors; ++v) {
          row[v] /= l[k * d + k];
          vmath::Store(block[r] + 8 * v, row[v]);
          vmath::Store(minus + 8 * v / kWidth * stride + (k - from) * kWidth + 8 * v % kWidth,
                       -row[v]);
        }
        std::copy_n(block[r], width, x.data() + k * d + from);
      }
    }
  });
  return x;
}

}  // namespace

std::vector<float> Hessian::Full(const Threads& threads) const {
  const int64_t d = depth_, tiles = (d + kBlock - 1) / kBlock;
  std::vector<float> full(d * d);
  threads.Each(static_cast<size_t>(tiles), [&](size_t tile, size_t) {
    const int64_t first = static_cast<int64_t>(tile) * kBlock, last = std::min(first + kBlock, d);
    for (int64_t from = 0; from < last; from += kBlock)
      for (int64_t i = first; i < last; ++i)
        for (int64_t j = from; j < std::min(from + kBlock, i + 1); ++j)
          full[i * d + j] = full[j * d + i] = sums_[i * d + j];
  });
  return full;
}

void Hessian::Add(const Tensor& t, const Threads& threads) {
  const int64_t d = depth_, n = t.dim(0);
  Require(t.rank() == 2 && t.dim(1) == d, "inputs ", ToString(t.shape()), " for a Hessian of ", d);
  const int64_t tiles = (d + kBlock - 1) / kBlock;
  for (int64_t begin = 0; begin < n; begin += ColumnCodes::kRows) {
    const ColumnCodes codes(t.data<float>() + begin * d, std::min(ColumnCodes::kRows, n - begin), d,
                            threads);
    threads.Each(static_cast<size_t>(tiles), [&](size_t tile, size_t) {
      const int64_t first = (tiles - 1 - static_cast<int64_t>(tile)) * kBlock;  // largest first
      const int64_t rows = std::min(kBlock, d - first);
      const int64_t panels = (first + rows + WidePanels::kWidth - 1) / WidePanels::kWidth;
      const int64_t stride = panels * WidePanels::kWidth;
      Tensor products(DType::kFloat32, {rows, stride});
      codes.Multiply(first, rows, panels, products.data<float>());
      for (int64_t r = 0; r < rows; ++r) {
        float* const sums = sums_.data() + (first + r) * d;
        vmath::Map2(sums, products.data<float>() + r * stride, sums, first + rows,
                    [](vmath::F8 a, vmath::F8 b) { return a + b; });
      }
    });
  }
  rows_ += n;
}

std::vector<float> InverseFactor(const Hessian& h, const std::vector<int64_t>& order,
                                 double damping, const Threads& threads, double* used) {
  const int64_t d = h.depth();
  double trace = 0;
  for (int64_t i = 0; i < d; ++i) trace += h.At(i, i);
  const double mean = trace > 0 ? trace / static_cast<double>(d) : 1;
  for (;; damping *= 10) {
    Require(damping <= 1e3, "a Hessian of ", d, " inputs cannot be factored: it holds NaN");
    std::vector<float> a(d * d);
    threads.For(d, 64, [&](size_t begin, size_t end) {
      for (auto i = static_cast<int64_t>(begin); i < static_cast<int64_t>(end); ++i) {
        for (int64_t j = 0; j <= i; ++j) a[i * d + j] = h.At(order[i], order[j]);
        float& diagonal = a[i * d + i];
        diagonal = static_cast<float>((diagonal == 0 ? mean : diagonal) + damping * mean);
      }
    });
    if (!FactorReversed(a, d, threads)) continue;
    if (used) *used = damping;
    return InverseOf(a, d, threads);
  }
}

}  // namespace mezzo
