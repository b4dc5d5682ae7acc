// Softmax, LogSoftmax, Hardmax along one axis, and the losses that are made of them.
#include <cmath>
#include <limits>

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

using vmath::F8;

constexpr float kLowest = -std::numeric_limits<float>::infinity();

void SoftmaxRow(const float* x, float* y, int64_t n) {
  vmath::SoftmaxRow(x, y, static_cast<size_t>(n));
}
void SoftmaxRow(const double* x, double* y, int64_t n) {
  const double top = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - top);
  for (int64_t i = 0; i < n; ++i) y[i] /= sum;
}

void LogSoftmaxRow(const float* x, float* y, int64_t n) {
  const float top = vmath::MaxOf(x, n, kLowest);
  double sum = 0;
  for (int64_t i = 0; i < n; i += 64) {  // in blocks, as y may be x
    float e[64];
    const int64_t m = std::min<int64_t>(64, n - i);
    vmath::Map(x + i, e, m, [&](F8 v) { return vmath::Exp(v - top); });
    sum += vmath::SumOf(e, m);
  }
  const auto log_sum = static_cast<float>(std::log(sum));
  vmath::Map(x, y, n, [&](F8 v) { return (v - top) - log_sum; });
}
void LogSoftmaxRow(const double* x, double* y, int64_t n) {
  const double top = *std::max_element(x, x + n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::exp(x[i] - top);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] - top - std::log(sum);
}

// 1 at the first largest element.
template <class T>
void HardmaxRow(const T* x, T* y, int64_t n) {
  const int64_t top = std::max_element(x, x + n) - x;
  std::fill_n(y, n, T(0));
  y[top] = 1;
}

// The permutation that swaps `axis` and the last one.
std::vector<int64_t> SwapWithLast(size_t rank, size_t axis) {
  std::vector<int64_t> perm(rank);
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[axis], perm.back());
  return perm;
}

// Applies row(x, y, n) along the axis; another than the last is moved there and back.
template <class Row>
Tensor AlongAxis(OpContext& ctx, const Tensor& given, size_t axis, const Row& row) {
  if (given.numel() == 0) return given;
  const bool last = axis + 1 == given.rank();
  const std::vector<int64_t> perm = SwapWithLast(given.rank(), axis);
  const Tensor x = last ? given : TransposeTensor(given, perm, ctx.threads);
  Tensor y =
      last && &given == &ctx.in[0] ? ctx.TakeOrMake(0, x.dtype()) : Tensor(x.dtype(), x.shape());
  const int64_t n = x.shape().back();
  WithReal(x.dtype(), [&]<class T>() {
    const T* from = x.data<T>();
    T* to = y.data<T>();
    const size_t grain = std::max<int64_t>(1, kGrain / 4 / n);
    ctx.threads.For(x.numel() / n, grain, [&](size_t begin, size_t end) {
      for (size_t r = begin; r < end; ++r) row(from + r * n, to + r * n, n);
    });
  });
  return last ? y : TransposeTensor(y, perm, ctx.threads);
}

// The same over input 0; a scalar counts as a row of one.
template <class Row>
Tensor AlongAxis(OpContext& ctx, int64_t axis_attribute, const Row& row) {
  const Tensor& given = ctx.Plain(0);
  if (given.rank() == 0) {
    const Tensor one = AlongAxis(ctx, given.Reshape({1}), 0, row);
    return one.Reshape({});
  }
  return AlongAxis(ctx, given, NormalAxis(axis_attribute, given.rank()), row);
}
void Softmax(OpContext& ctx) {
  ctx.out[0] = AlongAxis(ctx, ctx.node.Int("axis", -1),
                         [](auto* x, auto* y, int64_t n) { SoftmaxRow(x, y, n); });
}
void LogSoftmax(OpContext& ctx) {
  ctx.out[0] = AlongAxis(ctx, ctx.node.Int("axis", -1),
                         [](auto* x, auto* y, int64_t n) { LogSoftmaxRow(x, y, n); });
}
void Hardmax(OpContext& ctx) {
  ctx.out[0] = AlongAxis(ctx, ctx.node.Int("axis", -1),
                         [](auto* x, auto* y, int64_t n) { HardmaxRow(x, y, n); });
}

// -weight[t] * log_probability[n, t, d] for targets t (N, D...) and log probabilities (N, C, D...);
// the mean divides by the sum of the weights used.
Tensor NegativeLogLikelihood(OpContext& ctx, const Tensor& log_probability) {
  const Tensor& p = log_probability;
  const Tensor target = Cast(ctx.Plain(1), DType::kInt64);
  Require(p.rank() >= 2, "scores have shape ", ToString(p.shape()), ", need rank 2");
  const AxisView view(p.shape(), 1);
  Require(target.numel() == view.outer * view.inner, "targets ", ToString(target.shape()),
          " do not fit the scores ", ToString(p.shape()));
  const bool ignores = ctx.node.Has("ignore_index");
  const int64_t ignored = ctx.node.Int("ignore_index", 0);
  const std::string reduction = ctx.node.String("reduction", "mean");
  return WithReal(p.dtype(), [&]<class T>() {
    Tensor loss(p.dtype(), target.shape());
    double sum = 0, weights = 0;
    for (int64_t i = 0; i < target.numel(); ++i) {
      const int64_t t = target.data<int64_t>()[i], o = i / view.inner, d = i % view.inner;
      double w = 0, value = 0;
      if (!ignores || t != ignored) {
        Require(t >= 0 && t < view.length, "target ", t, " is none of ", view.length, " classes");
        w = ctx.Has(2) ? ctx.Plain(2).data<T>()[t] : 1.0;
        value = -w * p.data<T>()[(o * view.length + t) * view.inner + d];
      }
      loss.data<T>()[i] = static_cast<T>(value);
      sum += value;
      weights += w;
    }
    if (reduction == "none") return loss;
    return Tensor::Scalar(static_cast<T>(reduction == "sum" ? sum : sum / weights));
  });
}

void NegativeLogLikelihoodLoss(OpContext& ctx) {
  ctx.out[0] = NegativeLogLikelihood(ctx, ctx.Plain(0));
}

void SoftmaxCrossEntropyLoss(OpContext& ctx) {
  const Tensor p = AlongAxis(ctx, 1, [](auto* x, auto* y, int64_t n) { LogSoftmaxRow(x, y, n); });
  ctx.out[0] = NegativeLogLikelihood(ctx, p);
  if (ctx.out.size() > 1) ctx.out[1] = p;
}

}  // namespace

void AddSoftmax(OpTable& table) {
  table.Add("Softmax", &ViaFloat<&Softmax>);
  table.Add("LogSoftmax", &ViaFloat<&LogSoftmax>);
  table.Add("Hardmax", &ViaFloat<&Hardmax>);
  table.Add("NegativeLogLikelihoodLoss", &ViaFloat<&NegativeLogLikelihoodLoss>);
  table.Add("SoftmaxCrossEntropyLoss", &ViaFloat<&SoftmaxCrossEntropyLoss>);
}

}  // namespace mezzo
