#include "mezzo/algorithm/sensitivity/probe.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

std::vector<float> Softmax(const float* x, int64_t n) {
  const float top = *std::max_element(x, x + n);
  std::vector<float> p(n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += p[i] = std::exp(x[i] - top);
  for (float& v : p) v = static_cast<float>(v / sum);
  return p;
}

// The second derivative's root by one row, logits or probabilities, times random signs.
void SignedRow(DistortionKind kind, const float* out, int64_t n, float scale,
               std::mt19937_64& random, float* to) {
  if (kind == DistortionKind::kKlProbabilities) {
    for (int64_t i = 0; i < n; ++i)
      to[i] = (random() & 1 ? scale : -scale) / std::sqrt(std::max(out[i], 1e-12f));
    return;
  }
  const std::vector<float> p = Softmax(out, n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += to[i] = (random() & 1 ? scale : -scale) * std::sqrt(p[i]);
  for (int64_t i = 0; i < n; ++i) to[i] -= p[i] * static_cast<float>(sum);
}

// d log p_y / d output for one row: of logits, or of probabilities.
void LogGradient(DistortionKind kind, const float* out, int64_t n, int64_t y, float scale,
                 float* to) {
  if (kind == DistortionKind::kKlProbabilities) {
    std::fill_n(to, n, 0.0f);
    to[y] = scale / std::max(out[y], 1e-12f);
    return;
  }
  const std::vector<float> p = Softmax(out, n);
  for (int64_t i = 0; i < n; ++i) to[i] = scale * ((i == y ? 1.0f : 0.0f) - p[i]);
}

const Tensor& Distributions(const std::vector<Tensor>& outputs) {
  Require(!outputs.empty() && outputs[0].dtype() == DType::kFloat32 && outputs[0].rank() > 0,
          "output 0 holds no distributions");
  return outputs[0];
}

}  // namespace

std::vector<Tensor> DrawProbe(DistortionKind kind, const std::vector<Tensor>& outputs,
                              uint64_t seed) {
  std::vector<Tensor> u(outputs.size());
  std::mt19937_64 random(seed);
  if (kind == DistortionKind::kRelativeError) {
    size_t real = 0;
    for (const Tensor& t : outputs) real += t.dtype() == DType::kFloat32 && t.numel() > 0;
    for (size_t o = 0; o < outputs.size(); ++o) {
      if (outputs[o].dtype() != DType::kFloat32 || outputs[o].numel() == 0) continue;
      double square = 0;
      for (const float v : outputs[o].span<float>()) square += static_cast<double>(v) * v;
      const auto size =
          static_cast<float>(std::sqrt(2 / (std::max(square, 1e-30) * static_cast<double>(real))));
      u[o] = Tensor(DType::kFloat32, outputs[o].shape());
      for (float& v : u[o].span<float>()) v = random() & 1 ? size : -size;
    }
    return u;
  }
  const Tensor& out = Distributions(outputs);
  const int64_t n = out.shape().back(), rows = out.numel() / n;
  const float scale = 1 / std::sqrt(static_cast<float>(rows));
  u[0] = Tensor(DType::kFloat32, out.shape());
  for (int64_t r = 0; r < rows; ++r)
    SignedRow(kind, out.data<float>() + r * n, n, scale, random, u[0].data<float>() + r * n);
  return u;
}

double ProbeSize(DistortionKind kind, const std::vector<Tensor>& outputs) {
  if (kind == DistortionKind::kRelativeError) return 2;
  const Tensor& out = Distributions(outputs);
  const int64_t n = out.shape().back(), rows = out.numel() / n;
  double size = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = out.data<float>() + r * n;
    const std::vector<float> p =
        kind == DistortionKind::kKlLogits ? Softmax(row, n) : std::vector<float>(row, row + n);
    for (const double v : p) size += v * (1 - v) / static_cast<double>(rows);
  }
  return size;
}

std::vector<ProbeDraw> SpreadProbes(const std::vector<double>& sizes, size_t count, uint64_t seed) {
  constexpr double kEqual = 0.2;
  double sum = 0;
  for (const double s : sizes) sum += s;
  std::mt19937_64 random(seed);
  double until = std::uniform_real_distribution<double>(0, 1)(random);  // shares passed, in draws
  std::vector<ProbeDraw> draws;
  const auto n = static_cast<double>(sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    const double q = sum > 0 ? kEqual / n + (1 - kEqual) * sizes[i] / sum : 1 / n;
    for (until += q * static_cast<double>(count); until >= 1; --until)
      draws.push_back({i, static_cast<float>(std::sqrt(1 / (n * q)))});
  }
  while (draws.size() > count) draws.pop_back();
  while (draws.size() < count) draws.push_back(draws.back());  // rounding of the sum
  return draws;
}

std::vector<Tensor> LabelProbe(DistortionKind kind, const std::vector<Tensor>& outputs,
                               int64_t label) {
  const Tensor& out = Distributions(outputs);
  const int64_t n = out.shape().back();
  Require(out.numel() == n, "labels need one distribution a sample, got ", out.numel() / n);
  Require(label >= 0 && label < n, "label ", label, " of ", n, " classes");
  std::vector<Tensor> u(outputs.size());
  u[0] = Tensor(DType::kFloat32, out.shape());
  LogGradient(kind, out.data<float>(), n, label, 1, u[0].data<float>());
  return u;
}

double OutputLoss(DistortionKind kind, const std::vector<Tensor>& f, const std::vector<Tensor>& q) {
  if (kind == DistortionKind::kRelativeError) {
    double sum = 0;
    size_t real = 0;
    for (const DistortionTerm& t : DistortionTerms(kind, f, q)) {
      if (t.weight > 0) sum += t.sum / t.weight;
      real += t.weight > 0;
    }
    return real ? sum / static_cast<double>(real) : 0;
  }
  const Tensor &a = Distributions(f), &b = Distributions(q);
  Require(a.shape() == b.shape(), "output 0 has shape ", ToString(b.shape()),
          ", the float model's ", ToString(a.shape()));
  const int64_t n = a.shape().back(), rows = a.numel() / n;
  double kl = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const float *x = a.data<float>() + r * n, *y = b.data<float>() + r * n;
    const bool logits = kind == DistortionKind::kKlLogits;
    const std::vector<float> p = logits ? Softmax(x, n) : std::vector<float>(x, x + n),
                             o = logits ? Softmax(y, n) : std::vector<float>(y, y + n);
    for (int64_t i = 0; i < n; ++i)
      if (p[i] > 1e-12f) kl += p[i] * (std::log(p[i]) - std::log(std::max(o[i], 1e-12f)));
  }
  return kl / static_cast<double>(rows);
}

std::vector<Tensor> OutputLossGradient(DistortionKind kind, const std::vector<Tensor>& f,
                                       const std::vector<Tensor>& q) {
  std::vector<Tensor> g(f.size());
  if (kind == DistortionKind::kRelativeError) {
    const std::vector<DistortionTerm> terms = DistortionTerms(kind, f, q);
    const auto counted = static_cast<double>(
        std::ranges::count_if(terms, [](const DistortionTerm& t) { return t.weight > 0; }));
    for (size_t o = 0; o < f.size(); ++o) {
      if (terms[o].weight <= 0) continue;
      g[o] = Difference(q[o], f[o]);
      for (float& v : g[o].span<float>()) v *= static_cast<float>(2 / (terms[o].weight * counted));
    }
    return g;
  }
  const Tensor &a = Distributions(f), &b = Distributions(q);
  const int64_t n = a.shape().back(), rows = a.numel() / n;
  g[0] = Tensor(DType::kFloat32, a.shape());
  for (int64_t r = 0; r < rows; ++r) {
    const float *x = a.data<float>() + r * n, *y = b.data<float>() + r * n;
    float* to = g[0].data<float>() + r * n;
    if (kind == DistortionKind::kKlProbabilities) {
      for (int64_t i = 0; i < n; ++i) to[i] = -x[i] / std::max(y[i], 1e-12f);
    } else {
      const std::vector<float> p = Softmax(x, n), o = Softmax(y, n);
      for (int64_t i = 0; i < n; ++i) to[i] = o[i] - p[i];
    }
    for (int64_t i = 0; i < n; ++i) to[i] /= static_cast<float>(rows);
  }
  return g;
}

}  // namespace mezzo
