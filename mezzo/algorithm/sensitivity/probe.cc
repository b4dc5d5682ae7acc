#include "mezzo/algorithm/sensitivity/probe.h"

#include <algorithm>
#include <cmath>
#include <random>

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

// The first outcome whose cumulative probability reaches u.
int64_t Draw(const float* p, int64_t n, double u) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i)
    if ((sum += p[i]) >= u) return i;
  return std::max_element(p, p + n) - p;
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
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = out.data<float>() + r * n;
    const bool logits = kind == DistortionKind::kKlLogits;
    const int64_t y = Draw(logits ? Softmax(row, n).data() : row, n, uniform(random));
    LogGradient(kind, row, n, y, scale, u[0].data<float>() + r * n);
  }
  return u;
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

}  // namespace mezzo
