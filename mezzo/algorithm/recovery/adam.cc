#include "mezzo/algorithm/recovery/adam.h"

#include <algorithm>
#include <cmath>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

constexpr double kMean = 0.9, kSquare = 0.99, kEpsilon = 1e-12;

}  // namespace

void Adam::Add(const std::string& name, const Tensor& values) {
  Matrix m{values, {}, {}, {}};
  const size_t n = values.numel();
  m.gradient.resize(n);
  m.mean.resize(n);
  m.square.resize(n);
  double sum = 0;
  for (const float v : values.span<float>()) sum += static_cast<double>(v) * v;
  if (sum > 0) m.size = static_cast<float>(std::sqrt(sum / static_cast<double>(n)));
  matrices_[name] = std::move(m);
}

void Adam::AddGradient(const std::string& name, const Tensor& g) {
  Matrix& m = matrices_.at(name);
  Require(g.shape() == m.values.shape(), name, ": a gradient of ", ToString(g.shape()));
  for (int64_t i = 0; i < g.numel(); ++i) m.gradient[i] += g.data<float>()[i];
}

void Adam::Step(double rate, double scale) {
  ++steps_;
  const double first = 1 - std::pow(kMean, steps_), second = 1 - std::pow(kSquare, steps_);
  for (auto& [name, m] : matrices_) {
    float* v = m.values.data<float>();
    for (size_t i = 0; i < m.gradient.size(); ++i) {
      const double g = scale * m.gradient[i];
      m.mean[i] = static_cast<float>(kMean * m.mean[i] + (1 - kMean) * g);
      m.square[i] = static_cast<float>(kSquare * m.square[i] + (1 - kSquare) * g * g);
      v[i] -= static_cast<float>(rate * m.size * (m.mean[i] / first) /
                                 (std::sqrt(m.square[i] / second) + kEpsilon));
    }
    std::fill(m.gradient.begin(), m.gradient.end(), 0.0f);
  }
}

std::vector<TensorBytes> Adam::Write() const {
  std::vector<TensorBytes> all;
  for (const auto& [name, m] : matrices_) {
    all.push_back(ToBytes(name, m.values));
    all.push_back(ToBytes(name + ".mean", Storage::kF32, m.values.shape(), m.mean));
    all.push_back(ToBytes(name + ".square", Storage::kF32, m.values.shape(), m.square));
    all.push_back(ToBytes(name + ".size", Storage::kF32, {1}, std::vector<float>{m.size}));
  }
  all.push_back(
      ToBytes("steps", Storage::kF32, {1}, std::vector<float>{static_cast<float>(steps_)}));
  return all;
}

void Adam::Read(const Checkpoint& state) {
  const auto copy = [&](const std::string& name, float* to, size_t n) {
    const Tensor t = state.At(name).Read();
    RequireFile(static_cast<size_t>(t.numel()) == n, state.At(name).where, ": ", t.numel(),
                " elements, needs ", n);
    std::copy_n(t.data<float>(), n, to);
  };
  for (auto& [name, m] : matrices_) {
    copy(name, m.values.data<float>(), m.mean.size());
    copy(name + ".mean", m.mean.data(), m.mean.size());
    copy(name + ".square", m.square.data(), m.square.size());
    copy(name + ".size", &m.size, 1);
  }
  float steps = 0;
  copy("steps", &steps, 1);
  steps_ = static_cast<int64_t>(steps);
}

}  // namespace mezzo
