#include "mezzo/algorithm/recovery/low_rank_fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

constexpr int64_t kSpare = 8;  // directions beyond the rank, which make the iteration converge
constexpr int kIterations = 12;

// Rows orthonormal, in double; a row that depends on those before it becomes zero.
void Orthonormalize(Tensor& rows) {
  const int64_t n = rows.dim(1);
  std::vector<double> v(n);
  for (int64_t r = 0; r < rows.dim(0); ++r) {
    float* row = rows.data<float>() + r * n;
    std::copy_n(row, n, v.begin());
    const double before = std::inner_product(v.begin(), v.end(), v.begin(), 0.0);
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t q = 0; q < r; ++q) {
        const float* other = rows.data<float>() + q * n;
        const double dot = std::inner_product(v.begin(), v.end(), other, 0.0);
        for (int64_t i = 0; i < n; ++i) v[i] -= dot * other[i];
      }
    const double after = std::inner_product(v.begin(), v.end(), v.begin(), 0.0);
    const double scale = after > 1e-12 * before && after > 0 ? 1 / std::sqrt(after) : 0;
    for (int64_t i = 0; i < n; ++i) row[i] = static_cast<float>(scale * v[i]);
  }
}

Tensor Times(const Tensor& a, const PackedB& b, int64_t columns, const Threads& threads) {
  Tensor y(DType::kFloat32, {a.dim(0), columns});
  Sgemm(a.data<float>(), a.dim(1), a.dim(0), b, y.data<float>(), columns, {}, threads);
  return y;
}

// Eigenvectors of a small symmetric matrix (n, n), as rows, the largest eigenvalue's first: cyclic
// Jacobi.
std::vector<double> Eigenvectors(std::vector<double> m, int64_t n) {
  std::vector<double> v(n * n);
  for (int64_t i = 0; i < n; ++i) v[i * n + i] = 1;
  for (int sweep = 0; sweep < 30; ++sweep)
    for (int64_t p = 0; p < n; ++p)
      for (int64_t q = p + 1; q < n; ++q) {
        if (m[p * n + q] == 0) continue;
        const double theta = (m[q * n + q] - m[p * n + p]) / (2 * m[p * n + q]);
        const double t = (theta >= 0 ? 1 : -1) / (std::fabs(theta) + std::sqrt(theta * theta + 1));
        const double c = 1 / std::sqrt(t * t + 1), s = t * c;
        const auto turn = [&](double& x, double& y) {
          const double u = x;
          x = c * u - s * y;
          y = s * u + c * y;
        };
        for (int64_t k = 0; k < n; ++k) turn(m[k * n + p], m[k * n + q]);
        for (int64_t k = 0; k < n; ++k) turn(m[p * n + k], m[q * n + k]);
        for (int64_t k = 0; k < n; ++k) turn(v[p * n + k], v[q * n + k]);
      }
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return m[a * n + a] > m[b * n + b]; });
  std::vector<double> sorted;
  for (const int64_t i : order) sorted.insert(sorted.end(), &v[i * n], &v[i * n] + n);
  return sorted;
}

}  // namespace

PathFit PathFitOf(const std::string& name) {
  if (name == "hessian") return PathFit::kHessian;
  if (name == "diagonal") return PathFit::kDiagonal;
  Require(name == "unit", "a path's fit: got ", name, ", needs hessian, diagonal or unit");
  return PathFit::kUnit;
}

std::vector<float> Weighed(PathFit fit, std::vector<float> h) {
  if (fit == PathFit::kHessian) return h;
  const auto d = static_cast<size_t>(std::sqrt(static_cast<double>(h.size())));
  for (size_t i = 0; i < d; ++i)
    for (size_t j = 0; j < d; ++j) {
      if (i != j) h[i * d + j] = 0;
      if (i == j && fit == PathFit::kUnit) h[i * d + j] = 1;
    }
  return h;
}

LowRank FitLowRank(const Tensor& error, std::vector<float> h, int64_t rank,
                   const Threads& threads) {
  const int64_t outputs = error.dim(0), inputs = error.dim(1);
  Require(static_cast<int64_t>(h.size()) == inputs * inputs && rank > 0, "a path of rank ", rank,
          " for ", ToString(error.shape()), " beside a Hessian of ", h.size(), " numbers");
  double trace = 0;
  for (int64_t i = 0; i < inputs; ++i) trace += h[i * (inputs + 1)];
  for (int64_t i = 0; i < inputs && !(trace > 0); ++i) h[i * (inputs + 1)] = 1;
  rank = std::min({rank, outputs, inputs});
  const int64_t tried = std::min(rank + kSpare, std::min(outputs, inputs));
  const PackedB hessian(h.data(), inputs, inputs, inputs, 1, threads);
  const PackedB e(error.data<float>(), outputs, inputs, inputs, 1, threads);
  const PackedB et(error.data<float>(), inputs, outputs, 1, inputs, threads);
  Tensor v(DType::kFloat32, {tried, outputs});
  std::mt19937 random(1);
  std::normal_distribution<float> draw;
  for (float& x : v.span<float>()) x = draw(random);
  Tensor seen;  // v error H, of the iteration's last v
  for (int i = 0;; ++i) {
    Orthonormalize(v);
    seen = Times(Times(v, e, inputs, threads), hessian, inputs, threads);
    const Tensor next = Times(seen, et, outputs, threads);
    if (i < kIterations) {
      v = next;
      continue;
    }
    // Among the directions found, those that take up most.
    std::vector<double> m(tried * tried);
    for (int64_t p = 0; p < tried; ++p)
      for (int64_t q = 0; q <= p; ++q)
        m[p * tried + q] = m[q * tried + p] = std::inner_product(
            next.data<float>() + p * outputs, next.data<float>() + (p + 1) * outputs,
            v.data<float>() + q * outputs, 0.0);
    const std::vector<double> turned = Eigenvectors(m, tried);
    LowRank path{{}, Tensor(DType::kFloat32, {outputs, rank})};
    Tensor rows(DType::kFloat32, {rank, outputs});
    for (int64_t r = 0; r < rank; ++r)
      for (int64_t o = 0; o < outputs; ++o) {
        double sum = 0;
        for (int64_t p = 0; p < tried; ++p)
          sum += turned[r * tried + p] * v.data<float>()[p * outputs + o];
        rows.data<float>()[r * outputs + o] = path.b.data<float>()[o * rank + r] =
            static_cast<float>(sum);
      }
    path.a = Times(rows, e, inputs, threads);
    return path;
  }
}

double WeightedSquares(const Tensor& rows, const PackedB& h, const Threads& threads) {
  constexpr int64_t kRows = 48, kColumns = 64;  // at a time
  constexpr int64_t kPanels = kColumns / PackedB::kWidth;
  const int64_t d = h.k(), n = rows.dim(0);
  const auto* x = rows.data<float>();
  std::vector<double> sums((n + kRows - 1) / kRows);
  threads.Each(sums.size(), [&](size_t block, size_t) {
    const int64_t first = static_cast<int64_t>(block) * kRows, count = std::min(kRows, n - first);
    std::vector<float> product(count * d);
    const float* segments[kRows];
    // Of rows [begin, end) of H, added to what is there.
    const auto add = [&](int64_t panel, int64_t begin, int64_t end) {
      for (int64_t r = 0; r < count; ++r) segments[r] = x + (first + r) * d + begin;
      const PackedB part =
          PackedB::View(h.panel(0) + begin * PackedB::kWidth, end - begin, d, h.panel_stride());
      SgemmBlock({segments, 1, end - begin}, count, part, panel,
                 std::min(panel + kPanels, h.panels()), product.data(), d, {product.data(), d});
    };
    for (int64_t begin = 0; begin < d; begin += kColumns) {
      const int64_t end = std::min(begin + kColumns, d), panel = begin / PackedB::kWidth;
      if (end < d) add(panel, end, d);
      for (int64_t r = 0; r < count; ++r)
        for (int64_t i = begin; i < end; ++i) product[r * d + i] *= 2;  // H's other half
      add(panel, begin, end);
    }
    sums[block] = std::inner_product(product.begin(), product.end(), x + first * d, 0.0);
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

Tensor Product(const LowRank& path, const Threads& threads) {
  const int64_t inputs = path.a.dim(1);
  const PackedB a(path.a.data<float>(), path.rank(), inputs, inputs, 1, threads);
  return Times(path.b, a, inputs, threads);
}

}  // namespace mezzo
