// RNN, GRU, LSTM. The inputs' product with W is taken for all time steps at once, the hidden
// state's step by step; every row of a batch goes through the same chains as it would alone.
#include "mezzo/runtime/ops/recurrent.h"

#include <algorithm>
#include <cstring>

#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

struct Kind {
  const char* name;
  int64_t gates;
  std::vector<std::string> activations;  // of one direction, unless the node says otherwise
  bool cell;
  RnnStep step;
};

bool TakesAlpha(const std::string& name) {
  return name == "Affine" || name == "LeakyRelu" || name == "ThresholdedRelu" ||
         name == "ScaledTanh" || name == "HardSigmoid" || name == "Elu";
}
bool TakesBeta(const std::string& name) {
  return name == "Affine" || name == "ScaledTanh" || name == "HardSigmoid";
}

// activation_alpha and _beta are lists for those activations that take one, in order.
std::vector<RnnActivation> ReadActivations(const Node& node, const Kind& kind, int64_t directions) {
  std::vector<std::string> names;
  if (const auto it = node.attributes.find("activations"); it != node.attributes.end())
    names = std::get<std::vector<std::string>>(it->second);
  for (int64_t d = 0; d < directions && !node.Has("activations"); ++d)
    names.insert(names.end(), kind.activations.begin(), kind.activations.end());
  Require(names.size() == kind.activations.size() * directions, kind.name, " ", node.name, ": ",
          names.size(), " activations, needs ", kind.activations.size() * directions);
  const auto alphas = node.Floats("activation_alpha"), betas = node.Floats("activation_beta");
  size_t next_alpha = 0, next_beta = 0;
  std::vector<RnnActivation> activations;
  for (const std::string& name : names) {
    RnnActivation a{name};
    a.alpha = name == "LeakyRelu" ? 0.01f : name == "HardSigmoid" ? 0.2f : 1.0f;
    a.beta = name == "HardSigmoid" ? 0.5f : name == "ScaledTanh" ? 1.0f : 0.0f;
    if (TakesAlpha(name) && next_alpha < alphas.size()) a.alpha = alphas[next_alpha++];
    if (TakesBeta(name) && next_beta < betas.size()) a.beta = betas[next_beta++];
    activations.push_back(a);
  }
  return activations;
}

using AllWeights = std::vector<RnnWeights>;  // per direction

AllWeights PackWeights(const Tensor& w, const Tensor& r, const RnnShape& s, bool split_last,
                       const Threads& threads) {
  AllWeights all(s.directions);
  const int64_t rows = s.gates * s.hidden;
  for (int64_t d = 0; d < s.directions; ++d) {
    all[d].input =
        PackedB(w.data<float>() + d * rows * s.input, s.input, rows, 1, s.input, threads);
    const float* from = r.data<float>() + d * rows * s.hidden;
    const int64_t first = split_last ? rows - s.hidden : rows;
    all[d].recurrent.emplace_back(from, s.hidden, first, 1, s.hidden, threads);
    if (split_last)
      all[d].recurrent.emplace_back(from + first * s.hidden, s.hidden, s.hidden, 1, s.hidden,
                                    threads);
  }
  return all;
}

RnnShape ReadShape(const Node& node, const Kind& kind, const Tensor& x, const Tensor& w,
                   const Tensor& r) {
  Require(x.rank() == 3 && w.rank() == 3 && r.rank() == 3, kind.name, " ", node.name, ": inputs ",
          ToString(x.shape()), ", ", ToString(w.shape()), ", ", ToString(r.shape()),
          " must have three dimensions");
  const bool batch_first = node.Int("layout", 0) != 0;
  const RnnShape s{x.dim(batch_first ? 1 : 0),
                   x.dim(batch_first ? 0 : 1),
                   x.dim(2),
                   r.dim(2),
                   kind.gates,
                   w.dim(0)};
  const std::string direction = node.String("direction", "forward");
  const Shape want_w{direction == "bidirectional" ? 2 : 1, s.gates * s.hidden, s.input};
  const Shape want_r{want_w[0], s.gates * s.hidden, s.hidden};
  Require(w.shape() == want_w && r.shape() == want_r, kind.name, " ", node.name, " (", direction,
          "): weights ", ToString(w.shape()), " and ", ToString(r.shape()), ", needs ",
          ToString(want_w), " and ", ToString(want_r));
  return s;
}

// The optional initial state as (directions, batch, hidden), zeros if absent; always a copy.
Tensor InitialState(OpContext& ctx, size_t i, const RnnShape& s, bool batch_first) {
  const Shape want{s.directions, s.batch, s.hidden};
  if (!ctx.Has(i)) return Tensor::Zeros(DType::kFloat32, want);
  Tensor t = ctx.Plain(i);
  if (batch_first && t.rank() == 3) t = TransposeTensor(t, {1, 0, 2}, ctx.threads);
  Require(t.shape() == want, ctx.node.op_type, " ", ctx.node.name, ": initial state ",
          ToString(t.shape()), ", needs ", ToString(want));
  return t.Clone();
}

struct States {
  Tensor y, hidden,
      cell;  // (steps, directions, batch, hidden) and twice (directions, batch, hidden)
};

// Runs one direction over all steps. Rows whose sequence is over keep their state and give zeros.
void RunDirection(const RnnDirection& d, const Kind& kind, int64_t index, bool reverse,
                  const Tensor& x, const std::vector<int64_t>& lengths, States& states) {
  const RnnShape& s = d.shape;
  const int64_t wide = s.gates * s.hidden, size = s.batch * s.hidden;
  Tensor gates(DType::kFloat32, {s.steps, s.batch, wide});
  Sgemm(x.data<float>(), s.input, s.steps * s.batch, d.weights.input, gates.data<float>(), wide,
        {d.bias, 0}, d.threads);
  std::vector<float> next_hidden(size), next_cell(size);
  float* hidden = states.hidden.data<float>() + index * size;
  float* cell = states.cell.data<float>() + index * size;
  for (int64_t i = 0; i < s.steps; ++i) {
    const int64_t t = reverse ? s.steps - 1 - i : i;
    kind.step(d, gates.data<float>() + t * s.batch * wide, hidden, cell, next_hidden.data(),
              next_cell.data());
    float* y = states.y.data<float>() + (t * s.directions + index) * size;
    for (int64_t b = 0; b < s.batch; ++b, y += s.hidden) {
      if (t >= lengths[b]) {
        std::fill(y, y + s.hidden, 0.0f);
        continue;
      }
      std::copy_n(next_hidden.data() + b * s.hidden, s.hidden, hidden + b * s.hidden);
      if (kind.cell) std::copy_n(next_cell.data() + b * s.hidden, s.hidden, cell + b * s.hidden);
      std::copy_n(hidden + b * s.hidden, s.hidden, y);
    }
  }
}

const float* Rows(OpContext& ctx, size_t i, int64_t directions, int64_t each, Tensor& zeros) {
  if (!ctx.Has(i)) {
    zeros = Tensor::Zeros(DType::kFloat32, {directions * each});
    return zeros.data<float>();
  }
  Require(ctx.Plain(i).numel() == directions * each, ctx.node.op_type, " ", ctx.node.name,
          ": input ", i, " is ", ToString(ctx.in[i].shape()), ", needs ", directions * each,
          " numbers");
  return ctx.in[i].data<float>();
}

std::vector<int64_t> ReadLengths(OpContext& ctx, const RnnShape& s) {
  if (!ctx.Has(4)) return std::vector<int64_t>(s.batch, s.steps);
  auto lengths = ToInts(ctx.Plain(4));
  Require(lengths.size() == static_cast<size_t>(s.batch), ctx.node.op_type, " ", ctx.node.name,
          ": ", lengths.size(), " sequence lengths for a batch of ", s.batch);
  return lengths;
}

void WriteOutputs(OpContext& ctx, const States& states, bool cell, bool batch_first) {
  const auto state = [&](const Tensor& t) {
    return batch_first ? TransposeTensor(t, {1, 0, 2}, ctx.threads) : t;
  };
  ctx.out[0] = batch_first ? TransposeTensor(states.y, {2, 0, 1, 3}, ctx.threads) : states.y;
  if (ctx.out.size() > 1) ctx.out[1] = state(states.hidden);
  if (ctx.out.size() > 2 && cell) ctx.out[2] = state(states.cell);
}

void RunRecurrent(OpContext& ctx, const Kind& kind) {
  const Node& node = ctx.node;
  const Tensor &w = ctx.Plain(1), &r = ctx.Plain(2);
  const RnnShape s = ReadShape(node, kind, ctx.Plain(0), w, r);
  const bool batch_first = node.Int("layout", 0) != 0;
  const Tensor x = batch_first ? TransposeTensor(ctx.in[0], {1, 0, 2}, ctx.threads) : ctx.in[0];
  const auto activations = ReadActivations(node, kind, s.directions);
  const auto pack = [&] {
    return std::make_shared<AllWeights>(PackWeights(w, r, s, kind.gates == 3, ctx.threads));
  };
  const bool keep = ctx.constant[1] && ctx.constant[2];
  const auto made = keep ? nullptr : pack();
  const AllWeights& weights = made ? *made : ctx.state.Get<AllWeights>(pack);

  Tensor zero_bias, unused;
  const int64_t bias_size = 2 * s.gates * s.hidden;
  const float* bias = Rows(ctx, 3, s.directions, bias_size, zero_bias);
  const float* peephole =
      kind.cell && ctx.Has(7) ? Rows(ctx, 7, s.directions, 3 * s.hidden, unused) : nullptr;
  const auto lengths = ReadLengths(ctx, s);
  States states{Tensor(DType::kFloat32, {s.steps, s.directions, s.batch, s.hidden}),
                InitialState(ctx, 5, s, batch_first),
                InitialState(ctx, kind.cell ? 6 : ctx.in.size(), s, batch_first)};
  for (int64_t i = 0; i < s.directions; ++i) {
    const RnnDirection d{s,
                         weights[i],
                         bias + i * bias_size,
                         peephole ? peephole + i * 3 * s.hidden : nullptr,
                         activations.data() + i * kind.activations.size(),
                         node.Float("clip", 0.0f),
                         node.Int("input_forget", 0) != 0,
                         node.Int("linear_before_reset", 0) != 0,
                         ctx.threads};
    const bool reverse = i == 1 || node.String("direction", "forward") == "reverse";
    RunDirection(d, kind, i, reverse, x, lengths, states);
  }
  WriteOutputs(ctx, states, kind.cell, batch_first);
}

void Lstm(OpContext& ctx) {
  static const Kind kind{"LSTM", 4, {"Sigmoid", "Tanh", "Tanh"}, true, LstmStep};
  RunRecurrent(ctx, kind);
}
void Gru(OpContext& ctx) {
  static const Kind kind{"GRU", 3, {"Sigmoid", "Tanh"}, false, GruStep};
  RunRecurrent(ctx, kind);
}
void Rnn(OpContext& ctx) {
  static const Kind kind{"RNN", 1, {"Tanh"}, false, RnnPlainStep};
  RunRecurrent(ctx, kind);
}

}  // namespace

void AddRecurrent(OpTable& table) {
  table.Add("LSTM", AsFloat32<Lstm>);
  table.Add("GRU", AsFloat32<Gru>);
  table.Add("RNN", AsFloat32<Rnn>);
}

}  // namespace mezzo
