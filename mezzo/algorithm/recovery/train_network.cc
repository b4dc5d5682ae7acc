#include "mezzo/algorithm/recovery/train_network.h"

#include <numeric>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/algorithm/sensitivity/probe.h"
#include "mezzo/base/hash.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/gradient/gradient.h"

namespace mezzo {
namespace {

// The weights of all paths.
std::set<std::string> WeightsOf(const Plan& plan) {
  std::set<std::string> names;
  for (const auto& [layer, node] : plan.nodes)
    if (plan.HasPath(layer))
      for (const char* a_or_b : {"A", "B"}) names.insert(PathWeight(layer, a_or_b));
  return names;
}

// The network that the plan makes, in float, with the paths' weights as inputs.
Graph TrainingGraph(const Model& prepared, const Plan& plan) {
  Graph graph = ApplyPlan(prepared, plan).graph;
  FoldConstants(graph, true);
  for (const std::string& name : WeightsOf(plan)) {
    graph.inputs.push_back({name, DType::kFloat32, graph.initializers.at(name).shape(), {}, true});
    graph.initializers.erase(name);
  }
  return graph;
}

class NetworkLoss : public PathLoss {
 public:
  NetworkLoss(const Model& prepared, const Plan& plan, DistortionKind kind, const SampleFn& sample,
              const NetworkTraining& t)
      : kind_(kind),
        sample_(sample),
        t_(t),
        prepared_(prepared.graph),
        quantized_(TrainingGraph(prepared, plan)),
        reference_(prepared_, {}),
        gradient_(quantized_, WeightsOf(plan), {}) {
    for (const Node& node : prepared_.nodes)
      if (plan.HasPath(node.name)) layers_[node.name] = &node;
  }

  size_t samples() const override { return t_.samples; }

  double HeldOut(const LowRanks& paths) const override {
    const TensorMap weights = Weights(paths);
    std::vector<double> losses(t_.held_out);
    t_.threads.Each(losses.size(), [&](size_t i, size_t) {
      const Passes passes = Forward(t_.first_held_out + i, weights);
      losses[i] = OutputLoss(kind_, passes.wanted, passes.tape.outputs);
    });
    return std::accumulate(losses.begin(), losses.end(), 0.0) / static_cast<double>(losses.size());
  }

  void AddGradients(const LowRanks& paths, const std::vector<size_t>& samples,
                    Adam& matrices) const override {
    const TensorMap weights = Weights(paths);
    std::vector<TensorMap> found(samples.size());
    t_.threads.Each(samples.size(), [&](size_t i, size_t) {
      const Passes passes = Forward(samples[i], weights);
      gradient_.Reverse(passes.tape, OutputLossGradient(kind_, passes.wanted, passes.tape.outputs),
                        [&](const std::string& value, const Tensor& g) {
                          found[i][value] = g.ToLayout(Layout::kPlain);
                        });
    });
    for (const TensorMap& sample : found)
      for (const auto& [layer, node] : layers_) {
        const auto a = sample.find(PathWeight(layer, "A")), b = sample.find(PathWeight(layer, "B"));
        if (a == sample.end()) continue;  // no output depends on it
        const LowRank g = FromWeights(*node, {a->second, b->second});
        matrices.AddGradient(layer + kPathA, g.a);
        matrices.AddGradient(layer + kPathB, g.b);
      }
  }

 private:
  struct Passes {
    std::vector<Tensor> wanted;  // of the float network
    Tape tape;
  };
  Passes Forward(size_t sample, const TensorMap& weights) const {
    TensorMap inputs = sample_(sample);
    std::vector<Tensor> wanted = reference_.Run(inputs);
    inputs.insert(weights.begin(), weights.end());
    return {std::move(wanted), gradient_.Forward(inputs)};
  }

  TensorMap Weights(const LowRanks& paths) const {
    TensorMap weights;
    for (const auto& [layer, path] : paths) {
      const Node& node = *layers_.at(layer);
      const PathWeights w = ToWeights(node, prepared_.Initializer(node.inputs[1])->shape(), path);
      weights[PathWeight(layer, "A")] = w.a;
      weights[PathWeight(layer, "B")] = w.b;
    }
    return weights;
  }

  const DistortionKind kind_;
  const SampleFn& sample_;
  const NetworkTraining& t_;
  const Graph& prepared_;
  const Graph quantized_;
  const Session reference_;
  const Gradient gradient_;
  std::map<std::string, const Node*> layers_;
};

// All that the result depends on: the plan's codes and ranges tell models and samples apart.
std::string JobOf(const Plan& plan, DistortionKind kind, const NetworkTraining& t) {
  const std::string text =
      Cat(ToJson(plan), " ", static_cast<int>(kind), " ", t.samples, " ", t.first_held_out, " ",
          t.held_out, " ", t.epochs, " ", t.batch, " ", t.rate, " ", t.seed);
  return Cat(Fnv1a({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
}

}  // namespace

std::unique_ptr<PathLoss> LossOfNetwork(const Model& prepared, const Plan& plan,
                                        DistortionKind kind, const SampleFn& sample,
                                        const NetworkTraining& training) {
  return std::make_unique<NetworkLoss>(prepared, plan, kind, sample, training);
}

LowRanks TrainPaths(const Model& prepared, const Plan& plan, DistortionKind kind,
                    const SampleFn& sample, const NetworkTraining& training) {
  Require(training.samples > 0 && training.held_out > 0,
          "training needs samples to train on, and samples held out");
  LowRanks paths;
  for (const auto& [name, node] : plan.nodes)
    if (plan.HasPath(name)) paths[name] = node.path;
  Require(!paths.empty(), "training: no layer of the plan has a recovery path");
  NetworkTraining t = training;
  t.job = JobOf(plan, kind, training);
  return Descend(paths, NetworkLoss(prepared, plan, kind, sample, t), t);
}

}  // namespace mezzo
