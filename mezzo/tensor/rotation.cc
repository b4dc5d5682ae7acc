#include "mezzo/tensor/rotation.h"

#include <cmath>
#include <cstring>
#include <random>
#include <utility>

namespace mezzo {
namespace {

constexpr int64_t kLargestOdd = 512;

// Gram-Schmidt, twice, on rows of normal numbers.
std::vector<float> RandomOrthogonal(int64_t m, std::mt19937_64& random) {
  std::normal_distribution<double> draw;
  std::vector<double> s(m * m);
  for (double& v : s) v = draw(random);
  for (int64_t r = 0; r < m; ++r) {
    double* row = s.data() + r * m;
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t q = 0; q < r; ++q) {
        double dot = 0;
        for (int64_t i = 0; i < m; ++i) dot += row[i] * s[q * m + i];
        for (int64_t i = 0; i < m; ++i) row[i] -= dot * s[q * m + i];
      }
    double squares = 0;
    for (int64_t i = 0; i < m; ++i) squares += row[i] * row[i];
    for (int64_t i = 0; i < m; ++i) row[i] /= std::sqrt(squares);
  }
  return {s.begin(), s.end()};
}

}  // namespace

Rotation::Rotation(int64_t n, uint64_t seed) : n_(n), odd_(n) {
  Require(n > 0, "a rotation of ", n, " dimensions");
  for (; odd_ % 2 == 0; odd_ /= 2) two_ *= 2;
  Require(odd_ <= kLargestOdd, "a rotation of ", n, " dimensions: its odd factor ", odd_,
          " is above ", kLargestOdd);
  std::mt19937_64 random(seed);
  const auto scale = static_cast<float>(1 / std::sqrt(static_cast<double>(two_)));
  for (int64_t i = 0; i < n; ++i) signs_.push_back(random() & 1 ? scale : -scale);
  small_ = RandomOrthogonal(odd_, random);
}

void Rotation::Apply(float* x, float* scratch) const {
  for (int64_t i = 0; i < n_; ++i)
    for (int64_t l = 0; l < kLanes; ++l) x[i * kLanes + l] *= signs_[i];
  for (int64_t half = 1; half < two_; half *= 2)
    for (int64_t i = 0; i < n_; i += 2 * half)
      for (int64_t j = i * kLanes; j < (i + half) * kLanes; ++j) {
        const float a = x[j], b = x[j + half * kLanes];
        x[j] = a + b, x[j + half * kLanes] = a - b;
      }
  if (odd_ == 1) return;
  std::memcpy(scratch, x, static_cast<size_t>(n_ * kLanes) * sizeof(float));
  const int64_t part = two_ * kLanes;
  for (int64_t to = 0; to < odd_; ++to)
    for (int64_t j = 0; j < part; ++j) {
      float sum = 0;
      for (int64_t from = 0; from < odd_; ++from)
        sum += small_[from * odd_ + to] * scratch[from * part + j];
      x[to * part + j] = sum;
    }
}

void Rotation::ApplyToAll(float* x, int64_t vectors, int64_t pitch, int64_t stride) const {
  std::vector<float> lanes(n_ * kLanes), scratch(n_ * kLanes);
  for (int64_t first = 0; first < vectors; first += kLanes) {
    const int64_t count = std::min(kLanes, vectors - first);
    const auto each = [&](const auto& f) {
      for (int64_t i = 0; i < n_; ++i)
        for (int64_t l = 0; l < count; ++l)
          f(x[(first + l) * pitch + i * stride], lanes[i * kLanes + l]);
    };
    each([](float v, float& lane) { lane = v; });
    Apply(lanes.data(), scratch.data());
    each([](float& v, float lane) { v = lane; });
  }
}

void Rotation::Rows(Tensor& x) const {
  const int64_t rows = x.dim(0), cols = x.dim(1);
  Require(cols % n_ == 0, "rows of ", cols, " in a rotation of ", n_);
  for (int64_t begin = 0; begin < cols; begin += n_)
    ApplyToAll(x.data<float>() + begin, rows, cols, 1);
}

void Rotation::Columns(Tensor& x) const {
  const int64_t rows = x.dim(0), cols = x.dim(1);
  Require(rows % n_ == 0, "columns of ", rows, " in a rotation of ", n_);
  for (int64_t begin = 0; begin < rows; begin += n_)
    ApplyToAll(x.data<float>() + begin * cols, cols, 1, cols);
}

}  // namespace mezzo
