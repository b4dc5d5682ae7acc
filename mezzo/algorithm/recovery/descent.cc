#include "mezzo/algorithm/recovery/descent.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>
#include <random>

#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/shards.h"

namespace mezzo {
namespace {

constexpr size_t kPatience = 2;  // epochs without a better one
constexpr double kWarmUp = 0.1;  // share of the steps

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

class Descent {
 public:
  Descent(const LowRanks& paths, const PathLoss& loss, const PathTraining& t)
      : paths_(paths), loss_(loss), t_(t) {}

  LowRanks Run() {
    for (auto& [layer, path] : paths_) {
      path = {path.a.Clone(), path.b.Clone()};
      Balance(path);
      matrices_.Add(layer + kPathA, path.a);
      matrices_.Add(layer + kPathB, path.b);
    }
    Begin();
    std::mt19937_64 random(t_.seed);
    std::vector<size_t> order(loss_.samples());
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
    const auto text = state.metadata.find("training");
    RequireFile(text != state.metadata.end(), t_.state.string(), ": is no state of a training");
    const auto saved = nlohmann::json::parse(text->second);
    Require(saved.at("job") == t_.job, t_.state.string(),
            ": is of another job; remove it or choose another output");
    epoch_ = saved.at("epoch"), steps_ = saved.at("steps");
    least_ = saved.at("least"), since_best_ = saved.at("since_best");
    matrices_.Read(state);
    best_ = PathsIn(state);
  }

  void Judge() {
    LowRanks rounded;
    for (const auto& [layer, path] : paths_) rounded[layer] = RoundToBFloat16(path);
    const double loss = loss_.HeldOut(rounded);
    since_best_ = loss < least_ ? 0 : since_best_ + 1;
    if (loss < least_) least_ = loss, best_ = std::move(rounded);
    if (t_.epoch_done) t_.epoch_done(epoch_, loss);
    if (t_.state.empty() || epoch_ == 0) return;
    std::vector<TensorBytes> tensors = matrices_.Write();
    for (TensorBytes& t : PathTensors(best_)) tensors.push_back(std::move(t));
    const nlohmann::json saved{{"job", t_.job},
                               {"epoch", epoch_},
                               {"steps", steps_},
                               {"least", least_},
                               {"since_best", since_best_}};
    WriteTensors(t_.state, tensors, {{"training", saved.dump()}});
  }

  void Step(const std::vector<size_t>& batch) {
    loss_.AddGradients(paths_, batch, matrices_);
    ++steps_;
    const double all =
        static_cast<double>(t_.epochs * ((loss_.samples() + t_.batch - 1) / t_.batch));
    const double at = static_cast<double>(steps_) / all;
    const double rate = at < kWarmUp ? at / kWarmUp : 0.5 * (1 + std::cos(M_PI * at));
    matrices_.Step(rate * t_.rate, 1 / static_cast<double>(batch.size()));
    for (size_t i = 0; i < batch.size(); ++i)
      if (t_.step) t_.step();
  }

  LowRanks paths_, best_;
  const PathLoss& loss_;
  const PathTraining& t_;
  Adam matrices_;
  size_t epoch_ = 0, steps_ = 0, since_best_ = 0;
  double least_ = INFINITY;
};

}  // namespace

LowRanks Descend(const LowRanks& paths, const PathLoss& loss, const PathTraining& training) {
  Require(training.batch > 0, "training needs at least one sample to a step");
  return Descent(paths, loss, training).Run();
}

}  // namespace mezzo
