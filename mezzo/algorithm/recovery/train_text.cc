#include "mezzo/algorithm/recovery/train_text.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/algorithm/recovery/adam.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/shards.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/gradient/gradient.h"

namespace mezzo {
namespace {

constexpr int64_t kRows = 64;    // of logits at once
constexpr size_t kPatience = 2;  // epochs without a better one
constexpr double kWarmUp = 0.1;  // share of the steps

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

// B A stays; the matrices come to the same size, as one rate wants.
void Balance(LowRank& path) {
  const int64_t r = path.rank(), in = path.a.dim(1), out = path.b.dim(0);
  float *a = path.a.data<float>(), *b = path.b.data<float>();
  for (int64_t k = 0; k < r; ++k) {
    double of_a = 0, of_b = 0;
    for (int64_t i = 0; i < in; ++i) of_a += a[k * in + i] * a[k * in + i];
    for (int64_t o = 0; o < out; ++o) of_b += b[o * r + k] * b[o * r + k];
    if (of_a <= 0 || of_b <= 0) continue;
    const auto f = static_cast<float>(
        std::pow(of_b / static_cast<double>(out) / (of_a / static_cast<double>(in)), 0.25));
    for (int64_t i = 0; i < in; ++i) a[k * in + i] *= f;
    for (int64_t o = 0; o < out; ++o) b[o * r + k] /= f;
  }
}

class Trainer {
 public:
  Trainer(const LanguageModel& reference, const LanguageModel& quantized, const PathTraining& t)
      : reference_(reference),
        quantized_(quantized),
        t_(t),
        heads_(reference, quantized),
        paths_(quantized.paths()) {}

  LowRanks Run() {
    for (auto& [layer, path] : paths_) {
      path = {path.a.Clone(), path.b.Clone()};
      Balance(path);
      matrices_.Add(layer + kPathA, path.a);
      matrices_.Add(layer + kPathB, path.b);
    }
    wanted_ = RunBlocks(reference_, t_.windows, t_.threads);
    held_out_ = RunBlocks(reference_, t_.held_out, t_.threads);
    Begin();
    std::mt19937_64 random(t_.seed);
    std::vector<size_t> order(t_.windows.size());
    for (size_t epoch = 1; epoch <= t_.epochs; ++epoch) {
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), random);
      if (epoch <= epoch_) continue;  // done before the job was stopped
      if (since_best_ >= kPatience) break;
      for (size_t i = 0; i < order.size(); i += t_.batch)
        Step({order.begin() + static_cast<long>(i),
              order.begin() + static_cast<long>(std::min(order.size(), i + t_.batch))});
      epoch_ = epoch;
      Judge();
    }
    return best_;
  }

 private:
  // The start, or what a stopped job left.
  void Begin() {
    if (t_.state.empty() || !std::filesystem::exists(t_.state)) return Judge();
    const Safetensors state = ReadSafetensors(t_.state);
    const auto saved = nlohmann::json::parse(state.metadata.at("training"));
    epoch_ = saved.at("epoch"), steps_ = saved.at("steps");
    least_ = saved.at("least"), since_best_ = saved.at("since_best");
    matrices_.Read(state);
    best_ = PathsIn(state);
  }

  void Judge() {
    LowRanks rounded;
    for (const auto& [layer, path] : paths_) rounded[layer] = RoundToBFloat16(path);
    const double loss = Loss(t_.held_out, held_out_, rounded);
    since_best_ = loss < least_ ? 0 : since_best_ + 1;
    if (loss < least_) least_ = loss, best_ = std::move(rounded);
    if (t_.epoch_done) t_.epoch_done(epoch_, loss);
    if (t_.state.empty() || epoch_ == 0) return;
    std::vector<TensorBytes> tensors = matrices_.Write();
    for (TensorBytes& t : PathTensors(best_)) tensors.push_back(std::move(t));
    const nlohmann::json saved{
        {"epoch", epoch_}, {"steps", steps_}, {"least", least_}, {"since_best", since_best_}};
    WriteTensors(t_.state, tensors, {{"training", saved.dump()}});
  }

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

  double Loss(const std::vector<Window>& windows, const std::vector<Tensor>& wanted,
              const LowRanks& paths) const {
    const std::vector<Tensor> x = Forward(windows, paths, false).back();
    std::vector<double> losses(x.size());
    t_.threads.Each(x.size(),
                    [&](size_t i, size_t) { losses[i] = heads_.Loss(wanted[i], x[i], nullptr); });
    return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(x.size());
  }

  void Step(const std::vector<size_t>& batch) {
    std::vector<Window> windows;
    for (const size_t i : batch) windows.push_back(t_.windows[i]);
    auto states = Forward(windows, paths_, true);
    std::vector<Tensor> g(batch.size());
    t_.threads.Each(batch.size(), [&](size_t i, size_t) {
      heads_.Loss(wanted_[batch[i]], states.back()[i], &g[i]);
    });
    for (int64_t b = quantized_.config().layers; b-- > 0;) {
      states.pop_back();
      Back(b, states.back(), g);
    }
    ++steps_;
    const double all =
        static_cast<double>(t_.epochs * ((t_.windows.size() + t_.batch - 1) / t_.batch));
    const double at = static_cast<double>(steps_) / all;
    const double rate = at < kWarmUp ? at / kWarmUp : 0.5 * (1 + std::cos(M_PI * at));
    matrices_.Step(rate * t_.rate, 1 / static_cast<double>(batch.size()));
    for (size_t i = 0; i < batch.size(); ++i)
      if (t_.step) t_.step();
  }

  // Takes the gradients of a block's outputs by window, leaves those of its inputs.
  void Back(int64_t b, const std::vector<Tensor>& x, std::vector<Tensor>& g) {
    const Graph graph = Block(b, paths_);
    std::set<std::string> asked{"x"};
    for (const auto& [name, tensor] : graph.initializers)
      if (matrices_.Has(name)) asked.insert(name);
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
        if (name != "x") matrices_.AddGradient(name, part);
  }

  const LanguageModel &reference_, &quantized_;
  const PathTraining& t_;
  const Heads heads_;
  LowRanks paths_, best_;
  Adam matrices_;
  std::vector<Tensor> wanted_, held_out_;  // the reference's last hidden states, by window
  size_t epoch_ = 0, steps_ = 0, since_best_ = 0;
  double least_ = INFINITY;
};

}  // namespace

LowRanks TrainPaths(const LanguageModel& reference, const LanguageModel& quantized,
                    const PathTraining& training) {
  Require(!training.windows.empty() && !training.held_out.empty(),
          "training needs text to train on, and text held out");
  Require(!quantized.paths().empty(), quantized.path(), ": has no recovery paths to train");
  Require(training.batch > 0, "training needs at least one window to a step");
  return Trainer(reference, quantized, training).Run();
}

}  // namespace mezzo
