#include "mezzo/solver/multipliers.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace mezzo {
namespace {

constexpr size_t kMaxRows = kMaxBudgets + 1;
constexpr double kHighest = 1e7;  // of a multiplier, for losses and costs that sum to at most 1
constexpr double kTolerance = 1e-11;
constexpr int kMaxPivots = 300;

using Vector = std::array<double, kMaxRows>;
using Matrix = std::array<Vector, kMaxRows>;

// x of a x = b; a is regular but for rounding. Gauss with row pivots.
Vector Solve(Matrix a, Vector b, size_t n) {
  for (size_t k = 0; k < n; ++k) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; ++i)
      if (std::abs(a[i][k]) > std::abs(a[pivot][k])) pivot = i;
    std::swap(a[k], a[pivot]);
    std::swap(b[k], b[pivot]);
    if (a[k][k] == 0) a[k][k] = 1e-30;
    for (size_t i = k + 1; i < n; ++i) {
      const double factor = a[i][k] / a[k][k];
      for (size_t j = k; j < n; ++j) a[i][j] -= factor * a[k][j];
      b[i] -= factor * b[k];
    }
  }
  for (size_t k = n; k-- > 0;) {
    for (size_t j = k + 1; j < n; ++j) b[k] -= a[k][j] * b[j];
    b[k] /= a[k][k];
  }
  return b;
}

// Row b < budget_count: the choices' mean cost + slack - excess = room; the last row: the weights
// sum to 1. Losses and costs are divided by `units` (losses last), so that sums of them are at
// most 1.
class ColumnGeneration {
 public:
  ColumnGeneration(const std::vector<const std::vector<Item>*>& classes, const Costs& room,
                   size_t budget_count)
      : rows_(budget_count + 1) {
    units_.fill(0);
    for (const auto* items : classes) {
      Vector most{};
      for (const Item& item : *items) {
        for (size_t b = 0; b + 1 < rows_; ++b)
          most[b] = std::max(most[b], std::abs(static_cast<double>(item.costs[b])));
        most[rows_ - 1] = std::max(most[rows_ - 1], std::abs(static_cast<double>(item.loss)));
      }
      for (size_t b = 0; b < rows_; ++b) units_[b] += most[b];
    }
    for (size_t b = 0; b < rows_; ++b) units_[b] = std::max(units_[b], 1.0);
    for (const auto* items : classes) {
      for (const Item& item : *items) {
        Vector& scaled = items_.emplace_back();
        for (size_t b = 0; b + 1 < rows_; ++b)
          scaled[b] = static_cast<double>(item.costs[b]) / units_[b];
        scaled[rows_ - 1] = static_cast<double>(item.loss) / units_[rows_ - 1];
      }
      ends_.push_back(items_.size());
    }
    for (size_t b = 0; b + 1 < rows_; ++b) right_[b] = static_cast<double>(room[b]) / units_[b];
    right_[rows_ - 1] = 1;
  }

  // The best multipliers seen, in the items' units.
  Vector Run() {
    Start();
    double best_bound = -HUGE_VAL;
    Vector best{};
    for (int k = 0; k < kMaxPivots; ++k) {
      Matrix transposed{};
      for (size_t i = 0; i < rows_; ++i) transposed[i] = columns_[i];
      const Vector dual = Solve(transposed, losses_, rows_);
      Vector lambda{};
      for (size_t b = 0; b + 1 < rows_; ++b) lambda[b] = std::clamp(-dual[b], 0.0, kHighest);
      Vector column{};
      double loss = 0, bound = 0;
      Cheapest(lambda, column, loss);
      bound = loss;
      for (size_t b = 0; b + 1 < rows_; ++b) bound += lambda[b] * (column[b] - right_[b]);
      if (bound > best_bound) {
        best_bound = bound;
        best = lambda;
      }
      double reduced = loss - dual[rows_ - 1];
      for (size_t b = 0; b + 1 < rows_; ++b) reduced -= dual[b] * column[b];
      for (size_t b = 0; b + 1 < rows_; ++b) {  // slack and excess of row b
        if (-dual[b] < reduced) UnitColumn(b, 1, column, loss), reduced = -dual[b];
        if (kHighest + dual[b] < reduced)
          UnitColumn(b, -1, column, loss), reduced = kHighest + dual[b];
      }
      if (reduced > -kTolerance || !Pivot(column, loss)) break;
    }
    for (size_t b = 0; b + 1 < rows_; ++b) best[b] *= units_[rows_ - 1] / units_[b];
    return best;
  }

 private:
  // The choice of least loss, and for each budget what it leaves or exceeds.
  void Start() {
    Cheapest({}, columns_[rows_ - 1], losses_[rows_ - 1]);
    for (size_t b = 0; b + 1 < rows_; ++b)
      UnitColumn(b, columns_[rows_ - 1][b] <= right_[b] ? 1 : -1, columns_[b], losses_[b]);
  }

  void UnitColumn(size_t row, int sign, Vector& column, double& loss) const {
    column.fill(0);
    column[row] = sign;
    loss = sign > 0 ? 0 : kHighest;
  }

  // The choice that minimizes loss + lambda . costs.
  void Cheapest(const Vector& lambda, Vector& column, double& loss) const {
    column.fill(0);
    Vector weights = lambda;
    weights[rows_ - 1] = 1;
    size_t k = 0;
    for (const size_t end : ends_) {
      double least = HUGE_VAL;
      const Vector* best = nullptr;
      for (; k < end; ++k) {
        double value = 0;
        for (size_t b = 0; b < rows_; ++b) value += items_[k][b] * weights[b];
        if (value < least) {
          least = value;
          best = &items_[k];
        }
      }
      for (size_t b = 0; b < rows_; ++b) column[b] += (*best)[b];
    }
    loss = column[rows_ - 1];
    column[rows_ - 1] = 1;
  }

  bool Pivot(const Vector& column, double loss) {
    Matrix basis{};
    for (size_t i = 0; i < rows_; ++i)
      for (size_t j = 0; j < rows_; ++j) basis[i][j] = columns_[j][i];
    const Vector weights = Solve(basis, right_, rows_), direction = Solve(basis, column, rows_);
    size_t leaving = rows_;
    double least = HUGE_VAL;
    for (size_t i = 0; i < rows_; ++i) {
      if (direction[i] <= kTolerance) continue;
      const double ratio = std::max(0.0, weights[i]) / direction[i];
      if (ratio < least) {
        least = ratio;
        leaving = i;
      }
    }
    if (leaving == rows_) return false;
    columns_[leaving] = column;
    losses_[leaving] = loss;
    return true;
  }

  std::vector<Vector> items_;  // costs, then the loss, of all classes one after the other
  std::vector<size_t> ends_;   // of each class
  size_t rows_;
  Vector units_{}, right_{};
  Matrix columns_{};  // the basis
  Vector losses_{};   // and what each column loses
};

}  // namespace

Multipliers FindMultipliers(const std::vector<const std::vector<Item>*>& classes, const Costs& room,
                            size_t budget_count) {
  const Vector lambda = ColumnGeneration(classes, room, budget_count).Run();
  // Losses and costs stay below 2^61, and B + 1 products below 2^126: 62 bits for every number.
  double highest = 1;
  for (size_t b = 0; b < budget_count; ++b) highest = std::max(highest, lambda[b]);
  const int shift = std::max(0, 60 - std::ilogb(highest));
  Multipliers multipliers;
  multipliers.scale = int64_t{1} << shift;
  for (size_t b = 0; b < budget_count; ++b)
    multipliers.prices[b] = static_cast<int64_t>(std::min(std::ldexp(lambda[b], shift), 0x1p61));
  return multipliers;
}

}  // namespace mezzo
