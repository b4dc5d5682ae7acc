#include "mezzo/algorithm/recovery/train_text.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/gradient/gradient.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = 64;  // of logits at once

// log sum exp of a row of logits x whose softmax is p.
double LogSum(const float* x, const float* p, int64_t n) {
  const int64_t top = std::max_element(x, x + n) - x;
  return x[top] - std::log(p[top]);
}

// KL(softmax(x) || softmax(y)); leaves the first in `p`, and in `q` the second less the first.
double DivergenceOf(const float* x, const float* y, int64_t n, float* p, float* q) {
  std::copy_n(x, n, p);
  std::copy_n(y, n, q);
  vmath::SoftmaxRow(p, p, n);
  vmath::SoftmaxRow(q, q, n);
  const double sums = LogSum(y, q, n) - LogSum(x, p, n);
  double kl = 0;
  for (int64_t begin = 0; begin < n; begin += 256) {
    float part = 0;
    for (int64_t i = begin; i < std::min(n, begin + 256); ++i) {
      part += p[i] * (x[i] - y[i]);
      q[i] -= p[i];
    }
    kl += part;
  }
  return std::max(0.0, kl + sums);
}

// Both models' predictions from their last hidden states.
class Heads {
 public:
  Heads(const LanguageModel& reference, const LanguageModel& quantized)
      : reference_(reference.Head()),
        quantized_(quantized.Head()),
        session_(reference_, {}),
        gradient_(quantized_, {"x"}, {}) {}

  // The mean KL divergence over a window's tokens, and if `g` is given its gradient by x.
  double Loss(const Tensor& wanted, const Tensor& x, Tensor* g) const {
    const int64_t tokens = x.dim(0), width = x.dim(1);
    if (g) *g = Tensor(DType::kFloat32, x.shape());
    double loss = 0;
    for (int64_t begin = 0; begin < tokens; begin += kRows) {
      const int64_t end = std::min(tokens, begin + kRows);
      const Tensor want = session_.Run({{"x", CopyRows(wanted, begin, end)}})[0];
      const Tape tape = gradient_.Forward({{"x", CopyRows(x, begin, end)}});
      const int64_t n = want.dim(1);
      Tensor u(DType::kFloat32, want.shape());
      std::vector<float> p(n);
      for (int64_t r = 0; r < end - begin; ++r)
        loss += DivergenceOf(want.data<float>() + r * n, tape.outputs[0].data<float>() + r * n, n,
                             p.data(), u.data<float>() + r * n) /
                static_cast<double>(tokens);
      for (float& v : u.span<float>()) v /= static_cast<float>(tokens);
      if (!g) continue;
      gradient_.Reverse(tape, {u}, [&](const std::string&, const Tensor& part) {
        std::copy_n(part.ToLayout(Layout::kPlain).data<float>(), part.numel(),
                    g->data<float>() + begin * width);
      });
    }
    return loss;
  }

 private:
  const Graph reference_, quantized_;
  const Session session_;
  const Gradient gradient_;
};

class TextLoss : public PathLoss {
 public:
  TextLoss(const LanguageModel& reference, const LanguageModel& quantized, const TextTraining& t)
      : quantized_(quantized),
        t_(t),
        heads_(reference, quantized),
        wanted_(RunBlocks(reference, t.windows, t.threads)),
        held_out_(RunBlocks(reference, t.held_out, t.threads)) {}

  size_t samples() const override { return t_.windows.size(); }

  double HeldOut(const LowRanks& paths) const override {
    const std::vector<Tensor> x = Forward(t_.held_out, paths, false).back();
    std::vector<double> losses(x.size());
    t_.threads.Each(
        x.size(), [&](size_t i, size_t) { losses[i] = heads_.Loss(held_out_[i], x[i], nullptr); });
    return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(x.size());
  }

  void AddGradients(const LowRanks& paths, const std::vector<size_t>& batch,
                    Adam& matrices) const override {
    std::vector<Window> windows;
    for (const size_t i : batch) windows.push_back(t_.windows[i]);
    auto states = Forward(windows, paths, true);
    std::vector<Tensor> g(batch.size());
    t_.threads.Each(batch.size(), [&](size_t i, size_t) {
      heads_.Loss(wanted_[batch[i]], states.back()[i], &g[i]);
    });
    for (int64_t b = quantized_.config().layers; b-- > 0;) {
      states.pop_back();
      Back(Block(b, paths), states.back(), g, matrices);
    }
  }

 private:
  Graph Block(int64_t b, const LowRanks& paths) const {
    Graph graph = quantized_.Block(b);
    for (const std::string& layer : LinearLayers(graph))
      if (const auto it = paths.find(layer); it != paths.end()) {
        graph.initializers[layer + kPathA] = it->second.a;
        graph.initializers[layer + kPathB] = it->second.b;
      }
    return graph;
  }

  // Hidden states in front of each block and behind the last, by block and window.
  std::vector<std::vector<Tensor>> Forward(const std::vector<Window>& windows,
                                           const LowRanks& paths, bool keep) const {
    std::vector<std::vector<Tensor>> states{EmbedWindows(quantized_, windows, t_.threads)};
    for (int64_t b = 0; b < quantized_.config().layers; ++b) {
      const Graph graph = Block(b, paths);
      const Session session(graph, {});
      std::vector<Tensor> next(windows.size());
      t_.threads.Each(windows.size(), [&](size_t i, size_t) {
        next[i] = session.Run(BlockInputs(states.back()[i]))[0];
      });
      if (!keep) states.clear();
      states.push_back(std::move(next));
    }
    return states;
  }

  // Takes the gradients of a block's outputs by window, leaves those of its inputs.
  void Back(const Graph& graph, const std::vector<Tensor>& x, std::vector<Tensor>& g,
            Adam& matrices) const {
    std::set<std::string> asked{"x"};
    for (const auto& [name, tensor] : graph.initializers)
      if (matrices.Has(name)) asked.insert(name);
    const Gradient gradient(graph, asked, {});
    std::vector<TensorMap> found(x.size());
    t_.threads.Each(x.size(), [&](size_t i, size_t) {
      const Tape tape = gradient.Forward(BlockInputs(x[i]));
      gradient.Reverse(tape, {g[i]}, [&](const std::string& value, const Tensor& part) {
        found[i][value] = part.ToLayout(Layout::kPlain);
      });
      g[i] = found[i].at("x");
    });
    for (const TensorMap& window : found)
      for (const auto& [name, part] : window)
        if (name != "x") matrices.AddGradient(name, part);
  }

  const LanguageModel& quantized_;
  const TextTraining& t_;
  const Heads heads_;
  const std::vector<Tensor> wanted_, held_out_;  // the reference's last hidden states, by window
};

}  // namespace

LowRanks TrainPaths(const LanguageModel& reference, const LanguageModel& quantized,
                    const TextTraining& training) {
  Require(!training.windows.empty() && !training.held_out.empty(),
          "training needs text to train on, and text held out");
  Require(!quantized.paths().empty(), quantized.path(), ": has no recovery paths to train");
  return Descend(quantized.paths(), TextLoss(reference, quantized, training), training);
}

}  // namespace mezzo
