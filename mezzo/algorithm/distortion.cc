#include "mezzo/algorithm/distortion.h"

#include <algorithm>
#include <cmath>

namespace mezzo {
namespace {

constexpr double kTemperature = 4;

DistortionTerm RelativeError(const Tensor& f, const Tensor& q) {
  DistortionTerm t;
  const auto a = f.span<float>(), b = q.span<float>();
  for (size_t i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(b[i]) - a[i];
    t.sum += d * d;
    t.weight += static_cast<double>(a[i]) * a[i];
  }
  return t;
}

// log sum exp of a row over T
double LogSum(const float* x, int64_t n) {
  const double top = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp((x[i] - top) / kTemperature);
  return top / kTemperature + std::log(sum);
}

// Of softmax(f / T) and softmax(q / T), times T^2.
double SoftKl(const float* f, const float* q, int64_t n) {
  const double f_sum = LogSum(f, n), q_sum = LogSum(q, n);
  double kl = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double log_p = f[i] / kTemperature - f_sum;
    if (log_p > -60) kl += std::exp(log_p) * (log_p - (q[i] / kTemperature - q_sum));
  }
  return kl * kTemperature * kTemperature;
}

std::vector<float> Logs(const float* p, int64_t n) {
  constexpr float kFloor = 1e-12f;
  std::vector<float> logs(n);
  for (int64_t i = 0; i < n; ++i) logs[i] = std::log(std::max(p[i], kFloor));
  return logs;
}

}  // namespace

std::vector<DistortionTerm> DistortionTerms(DistortionKind kind, const std::vector<Tensor>& f,
                                            const std::vector<Tensor>& q) {
  std::vector<DistortionTerm> terms;
  for (size_t i = 0; i < f.size(); ++i) {
    Require(q[i].shape() == f[i].shape(), "output ", i, " has shape ", ToString(q[i].shape()),
            ", the float model's ", ToString(f[i].shape()));
    const bool real = f[i].dtype() == DType::kFloat32 && f[i].numel() > 0;
    if (kind == DistortionKind::kRelativeError) {
      terms.push_back(real ? RelativeError(f[i], q[i]) : DistortionTerm{});
      continue;
    }
    Require(real && f[i].rank() > 0, "output 0 holds no distributions");
    const int64_t n = f[i].shape().back(), rows = f[i].numel() / n;
    DistortionTerm t{0, static_cast<double>(rows)};
    for (int64_t r = 0; r < rows; ++r) {
      const float *a = f[i].data<float>() + r * n, *b = q[i].data<float>() + r * n;
      t.sum += kind == DistortionKind::kKlLogits ? SoftKl(a, b, n)
                                                 : SoftKl(Logs(a, n).data(), Logs(b, n).data(), n);
    }
    return {t};
  }
  return terms;
}

DistortionKind DistortionFor(const Graph& graph, const std::string& metric,
                             const TensorMap& sample) {
  if (metric != "classify" && metric != "ctc" && metric != "agreement" && metric != "kl")
    return DistortionKind::kRelativeError;
  const Tensor out = Session(graph, {}).Run(sample).at(0);
  if (out.dtype() != DType::kFloat32 || out.rank() == 0 || out.rank() > 3 || out.shape().back() < 2)
    return DistortionKind::kRelativeError;
  const int64_t n = out.shape().back();
  for (int64_t r = 0; r < out.numel() / n; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      const float v = out.data<float>()[r * n + i];
      if (v < 0) return DistortionKind::kKlLogits;
      sum += v;
    }
    if (std::fabs(sum - 1) > 1e-3) return DistortionKind::kKlLogits;
  }
  return DistortionKind::kKlProbabilities;
}

TuningSet::TuningSet(const Graph& float_graph, DistortionKind kind, const SampleFn& sample,
                     size_t count, size_t limit, const Threads& threads)
    : kind_(kind), threads_(threads) {
  const Session session(float_graph, {threads});
  size_t bytes = 0;
  for (size_t i = 0; i < count && (i == 0 || bytes < limit); ++i) {
    inputs_.push_back(sample(i));
    outputs_.push_back(session.Run(inputs_.back()));
    bytes += BytesOf(inputs_.back());
    for (const Tensor& t : outputs_.back()) bytes += t.bytes();
  }
}

double TuningSet::Measure(const Graph& graph, size_t count, const ValueHook& hook) const {
  const size_t n = std::min(count, size());
  const Session session(graph, {});
  std::vector<std::vector<DistortionTerm>> each(n);
  threads_.Each(n, [&](size_t i, size_t) {
    each[i] = DistortionTerms(kind_, outputs_[i], session.Run(inputs_[i], hook));
  });
  double total = 0;
  size_t counted = 0;
  for (size_t output = 0; output < each[0].size(); ++output) {
    DistortionTerm all;  // in the order of the samples
    for (const auto& terms : each) all.sum += terms[output].sum, all.weight += terms[output].weight;
    if (all.weight == 0) continue;
    total += all.sum / all.weight;
    ++counted;
  }
  return counted ? total / static_cast<double>(counted) : 0;
}

}  // namespace mezzo
