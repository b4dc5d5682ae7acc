// The gradient of LSTM, back through time. With the gates of step t, z = x W^T + h R^T + b,
//
//   i, o, f = sigmoid(z_i, z_o, z_f),  g = tanh(z_c),  C = f C' + i g,  H = o tanh(C)
//
// dC += dH o (1 - tanh(C)^2), then dz of each gate by the chain rule, dH' = dz R and dC' = dC f.
// The gates are computed again. Only what exporters of one-directional networks write is followed:
// other directions, activations, lengths, peepholes, clips and layouts are refused.
#include <cmath>

#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {
namespace {

struct Sizes {
  int64_t steps, batch, input, hidden;
};

Sizes CheckLstm(const GradientContext& ctx) {
  const Node& node = ctx.node;
  const std::vector<std::string> usual{"Sigmoid", "Tanh", "Tanh"};
  const auto it = node.attributes.find("activations");
  Require(it == node.attributes.end() || std::get<std::vector<std::string>>(it->second) == usual,
          "other activations than Sigmoid, Tanh, Tanh are not supported");
  Require(node.String("direction", "forward") == "forward",
          "other directions than forward are not supported");
  Require(node.Int("layout", 0) == 0, "layout 1 is not supported");
  Require(node.Int("input_forget", 0) == 0, "input_forget is not supported");
  Require(node.Float("clip", 0) == 0, "clip is not supported");
  Require(!node.HasInput(4), "sequence lengths are not supported");
  Require(!node.HasInput(7), "peepholes are not supported");
  const Tensor &x = ctx.in[0], &r = ctx.in[2];
  return {x.dim(0), x.dim(1), x.dim(2), r.dim(2)};
}

Tensor Gemm(const GradientContext& ctx, const Tensor& a, const Tensor& b, bool ta, bool tb) {
  return RunOp("Gemm", {a, b}, {{"transA", int64_t{ta}}, {"transB", int64_t{tb}}}, ctx.threads);
}

// Rows [begin, begin + count) of a matrix, without a copy.
Tensor Rows(const Tensor& t, int64_t begin, int64_t count) {
  const auto owner = std::make_shared<Tensor>(t);
  return Tensor(DType::kFloat32, {count, t.dim(1)}, owner, t.data<float>() + begin * t.dim(1));
}

Tensor Matrix(const Tensor& t, int64_t rows, int64_t columns) {
  return t.ToLayout(Layout::kPlain).Reshape({rows, columns});
}

// The input's values, or zeros, as a matrix of its own.
Tensor State(const GradientContext& ctx, size_t i, const Sizes& s) {
  return ctx.node.HasInput(i) ? Matrix(ctx.in[i], s.batch, s.hidden).Clone()
                              : Tensor::Zeros(DType::kFloat32, {s.batch, s.hidden});
}

// What each step saw and made; (steps * batch) rows, of states one step's more: before the first.
struct Unrolled {
  Tensor gates, hidden, cell;  // gates: activated, in ONNX's order i, o, f, c
};

float Sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

void RunStep(const Sizes& s, const float* recurrent, const float* bias, float* gates,
             const float* cell, float* next_cell, float* next_hidden) {
  const int64_t h = s.hidden;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t k = 0; k < h; ++k) {
      float* z = gates + b * 4 * h + k;
      const float* add = recurrent + b * 4 * h + k;
      for (int64_t gate = 0; gate < 4; ++gate) {
        float& v = z[gate * h];
        v += add[gate * h] + (bias ? bias[gate * h + k] + bias[(gate + 4) * h + k] : 0.0f);
        v = gate == 3 ? std::tanh(v) : Sigmoid(v);
      }
      const int64_t at = b * h + k;
      next_cell[at] = z[2 * h] * cell[at] + z[0] * z[3 * h];
      next_hidden[at] = z[h] * std::tanh(next_cell[at]);
    }
}

Unrolled Unroll(const GradientContext& ctx, const Sizes& s, const Tensor& x, const Tensor& w,
                const Tensor& r) {
  const int64_t size = s.batch * s.hidden;
  Unrolled u{Gemm(ctx, x, w, false, true),
             Tensor(DType::kFloat32, {(s.steps + 1) * s.batch, s.hidden}),
             Tensor(DType::kFloat32, {(s.steps + 1) * s.batch, s.hidden})};
  const Tensor bias = ctx.node.HasInput(3) ? ctx.in[3].ToLayout(Layout::kPlain) : Tensor();
  float *hidden = u.hidden.data<float>(), *cell = u.cell.data<float>();
  std::copy_n(State(ctx, 5, s).data<float>(), size, hidden);
  std::copy_n(State(ctx, 6, s).data<float>(), size, cell);
  for (int64_t t = 0; t < s.steps; ++t, hidden += size, cell += size) {
    const Tensor recurrent = Gemm(ctx, Rows(u.hidden, t * s.batch, s.batch), r, false, true);
    RunStep(s, recurrent.data<float>(), bias.defined() ? bias.data<float>() : nullptr,
            u.gates.data<float>() + t * 4 * size, cell, cell + size, hidden + size);
  }
  return u;
}

// dz in place of the gates; dh and dc are of the step's results, dc becomes that of its input.
void ReverseStep(const Sizes& s, float* gates, const float* cell, const float* next_cell,
                 const float* dh, float* dc) {
  const int64_t h = s.hidden;
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t k = 0; k < h; ++k) {
      float* z = gates + b * 4 * h + k;
      const int64_t at = b * h + k;
      const float i = z[0], o = z[h], f = z[2 * h], g = z[3 * h], c = std::tanh(next_cell[at]);
      const float d = dc[at] + dh[at] * o * (1 - c * c);
      z[0] = d * g * i * (1 - i);
      z[h] = dh[at] * c * o * (1 - o);
      z[2 * h] = d * cell[at] * f * (1 - f);
      z[3 * h] = d * i * (1 - g * g);
      dc[at] = d * f;
    }
}

// The gradient of output i as a matrix of its own, zeros if there is none.
Tensor Given(const GradientContext& ctx, size_t i, int64_t rows, const Sizes& s) {
  return i < ctx.g.size() && ctx.g[i].defined() ? Matrix(ctx.g[i], rows, s.hidden).Clone()
                                                : Tensor::Zeros(DType::kFloat32, {rows, s.hidden});
}

void LstmGradient(GradientContext& ctx) {
  const Sizes s = CheckLstm(ctx);
  const int64_t size = s.batch * s.hidden, rows = s.steps * s.batch;
  const Tensor x = Matrix(ctx.in[0], rows, s.input);
  const Tensor w = Matrix(ctx.in[1], 4 * s.hidden, s.input);
  const Tensor r = Matrix(ctx.in[2], 4 * s.hidden, s.hidden);
  Unrolled u = Unroll(ctx, s, x, w, r);
  const Tensor dy = Given(ctx, 0, rows, s);
  Tensor dh = Given(ctx, 1, s.batch, s), dc = Given(ctx, 2, s.batch, s);
  for (int64_t t = s.steps; t-- > 0;) {
    Accumulate(dh, Rows(dy, t * s.batch, s.batch), ctx.threads);
    const float* cell = u.cell.data<float>() + t * size;
    ReverseStep(s, u.gates.data<float>() + t * 4 * size, cell, cell + size, dh.data<float>(),
                dc.data<float>());
    dh = Gemm(ctx, Rows(u.gates, t * s.batch, s.batch), r, false, false);
  }
  const Tensor& dz = u.gates;
  const auto give = [&](size_t i, const Tensor& t) {
    ctx.result[i] = t.Reshape(ctx.in[i].shape());
  };
  if (ctx.Wants(0)) give(0, Gemm(ctx, dz, w, false, false));
  if (ctx.Wants(1)) give(1, Gemm(ctx, dz, x, true, false));
  if (ctx.Wants(2)) give(2, Gemm(ctx, dz, Rows(u.hidden, 0, rows), true, false));
  if (ctx.Wants(3)) {  // both biases are added to the same gates
    const Tensor sum = SumTo(dz, {1, 4 * s.hidden}, ctx.threads);
    give(3, RunOp("Concat", {sum, sum}, {{"axis", int64_t{1}}}, ctx.threads));
  }
  if (ctx.Wants(5)) give(5, dh);
  if (ctx.Wants(6)) give(6, dc);
}

}  // namespace

void AddRecurrentGradients(GradientTable& table) { table.Add("LSTM", &LstmGradient); }

}  // namespace mezzo
