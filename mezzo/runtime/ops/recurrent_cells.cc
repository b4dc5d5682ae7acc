// The three cells, equations as ONNX states them, and their activations.
#include <algorithm>
#include <cmath>

#include "mezzo/kernels/vmath/vmath.h"
#include "mezzo/runtime/ops/recurrent.h"

namespace mezzo {
namespace {

using vmath::F8;

float ScalarActivation(const RnnActivation& a, float x) {
  if (a.name == "Affine") return a.alpha * x + a.beta;
  if (a.name == "LeakyRelu") return x >= 0 ? x : a.alpha * x;
  if (a.name == "ThresholdedRelu") return x > a.alpha ? x : 0;
  if (a.name == "ScaledTanh") return a.alpha * std::tanh(a.beta * x);
  if (a.name == "HardSigmoid") return std::clamp(a.alpha * x + a.beta, 0.0f, 1.0f);
  if (a.name == "Elu") return x >= 0 ? x : a.alpha * std::expm1(x);
  if (a.name == "Softsign") return x / (1 + std::abs(x));
  if (a.name == "Softplus") return std::max(x, 0.0f) + std::log1p(std::exp(-std::abs(x)));
  throw UsageError(Cat("unknown activation \"", a.name, "\" of a recurrent operator"));
}

// gates[row][part] += hidden W, where the bias of the recurrent part is already in `gates`.
void AddRecurrent(const RnnDirection& d, const PackedB& w, const float* hidden, float* gates) {
  const int64_t stride = d.shape.gates * d.shape.hidden;
  Sgemm(hidden, d.shape.hidden, d.shape.batch, w, gates, stride, {gates, stride}, d.threads);
}

void AddBias(const RnnDirection& d, int64_t parts, float* gates) {
  const int64_t stride = d.shape.gates * d.shape.hidden;
  const float* bias = d.bias + stride;
  for (int64_t b = 0; b < d.shape.batch; ++b)
    for (int64_t i = 0; i < parts * d.shape.hidden; ++i) gates[b * stride + i] += bias[i];
}

// gate += peephole * cell
void AddPeephole(const RnnDirection& d, int64_t which, const float* cell, float* gate) {
  if (!d.peephole) return;
  const float* p = d.peephole + which * d.shape.hidden;
  for (int64_t i = 0; i < d.shape.hidden; ++i) gate[i] += p[i] * cell[i];
}

}  // namespace

void RnnActivation::Apply(const float* x, float* y, int64_t n, float clip) const {
  if (clip > 0) {
    for (int64_t i = 0; i < n; ++i) y[i] = std::clamp(x[i], -clip, clip);
    x = y;
  }
  if (name == "Sigmoid") return vmath::Map(x, y, n, [](F8 v) { return vmath::Sigmoid(v); });
  if (name == "Tanh") return vmath::Map(x, y, n, [](F8 v) { return vmath::Tanh(v); });
  if (name == "Relu")
    return vmath::Map(x, y, n, [](F8 v) { return vmath::Max(v, vmath::Splat(0.0f)); });
  for (int64_t i = 0; i < n; ++i) y[i] = ScalarActivation(*this, x[i]);
}

// i, o, f, c:  C' = f(F) * C + f(I) * g(c);  H' = f(O) * h(C')
void LstmStep(const RnnDirection& d, float* gates, const float* hidden, const float* cell,
              float* next_hidden, float* next_cell) {
  const int64_t h = d.shape.hidden;
  AddBias(d, 4, gates);
  AddRecurrent(d, d.weights.recurrent[0], hidden, gates);
  for (int64_t b = 0; b < d.shape.batch; ++b) {
    float *i = gates + b * 4 * h, *o = i + h, *f = o + h, *c = f + h;
    const float* old = cell + b * h;
    float *c_next = next_cell + b * h, *h_next = next_hidden + b * h;
    AddPeephole(d, 0, old, i);
    d.activations[0].Apply(i, i, h, d.clip);
    AddPeephole(d, 2, old, f);
    d.activations[0].Apply(f, f, h, d.clip);
    if (d.input_forget)
      for (int64_t k = 0; k < h; ++k) f[k] = 1.0f - i[k];
    d.activations[1].Apply(c, c, h, d.clip);
    for (int64_t k = 0; k < h; ++k) c_next[k] = f[k] * old[k] + i[k] * c[k];
    AddPeephole(d, 1, c_next, o);
    d.activations[0].Apply(o, o, h, d.clip);
    d.activations[2].Apply(c_next, c, h, 0);
    for (int64_t k = 0; k < h; ++k) h_next[k] = o[k] * c[k];
  }
}

// z, r, h:  H' = (1 - z) * g(h) + z * H
void GruStep(const RnnDirection& d, float* gates, const float* hidden, const float*,
             float* next_hidden, float*) {
  const int64_t h = d.shape.hidden, stride = 3 * h;
  AddBias(d, 2, gates);
  AddRecurrent(d, d.weights.recurrent[0], hidden, gates);
  std::vector<float> from(d.shape.batch * h), add(d.shape.batch * h);
  for (int64_t b = 0; b < d.shape.batch; ++b) {
    float *z = gates + b * stride, *r = z + h;
    d.activations[0].Apply(z, z, 2 * h, d.clip);
    for (int64_t k = 0; k < h; ++k) {
      const float v = hidden[b * h + k];
      from[b * h + k] = d.linear_before_reset ? v : r[k] * v;
    }
  }
  const float* bias = d.bias + stride + 2 * h;  // of the recurrent part of h
  Sgemm(from.data(), h, d.shape.batch, d.weights.recurrent[1], add.data(), h, {bias, 0}, d.threads);
  for (int64_t b = 0; b < d.shape.batch; ++b) {
    const float *z = gates + b * stride, *r = z + h;
    float* g = gates + b * stride + 2 * h;
    for (int64_t k = 0; k < h; ++k)
      g[k] += d.linear_before_reset ? r[k] * add[b * h + k] : add[b * h + k];
    d.activations[1].Apply(g, g, h, d.clip);
    for (int64_t k = 0; k < h; ++k)
      next_hidden[b * h + k] = (1.0f - z[k]) * g[k] + z[k] * hidden[b * h + k];
  }
}

// H' = f(gate)
void RnnPlainStep(const RnnDirection& d, float* gates, const float* hidden, const float*,
                  float* next_hidden, float*) {
  AddBias(d, 1, gates);
  AddRecurrent(d, d.weights.recurrent[0], hidden, gates);
  d.activations[0].Apply(gates, next_hidden, d.shape.batch * d.shape.hidden, d.clip);
}

}  // namespace mezzo
