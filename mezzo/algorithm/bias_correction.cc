#include "mezzo/algorithm/bias_correction.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "mezzo/algorithm/apply_plan.h"

namespace mezzo {
namespace {

using Means = std::vector<double>;

// Of each channel, along axis 1.
Means ChannelMeans(const Tensor& value) {
  const Tensor t = value.ToLayout(Layout::kPlain);
  const int64_t channels = t.dim(1), rows = t.dim(0) * channels;
  const int64_t inner = rows ? t.numel() / rows : 0;
  Means means(channels);
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (const float v : std::span(t.data<float>() + r * inner, static_cast<size_t>(inner)))
      sum += v;
    means[r % channels] += sum / static_cast<double>(inner * t.dim(0));
  }
  return means;
}

void AddToChannels(Tensor& t, const std::vector<float>& shift) {
  const int64_t channels = t.dim(1), rows = t.dim(0) * channels;
  const int64_t inner = rows ? t.numel() / rows : 0;
  for (int64_t r = 0; r < rows; ++r)
    for (float& v : std::span(t.data<float>() + r * inner, static_cast<size_t>(inner)))
      v += shift[r % channels];
}

// A graph run node by node for several samples at once.
class Lockstep {
 public:
  Lockstep(const Graph& graph, const TuningSet& samples, size_t count, const Threads& threads)
      : graph_(graph), threads_(threads), values_(count) {
    for (size_t i = 0; i < count; ++i)
      for (const auto& [name, t] : samples.inputs(i)) values_[i][name] = t;
    const Uses uses(graph);
    for (const auto& [value, users] : uses.consumers)
      last_use_[*std::max_element(users.begin(), users.end())].push_back(value);
    for (const auto& [name, t] : graph.initializers) constants_.insert(name);
  }

  // `made` may change a node's outputs, one tensor a sample.
  void Run(const std::function<void(const Node&, std::vector<Tensor>&)>& made) {
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      RunNode(graph_.nodes[i], made);
      for (const std::string& value : last_use_[i])
        for (auto& sample : values_) sample.erase(value);
    }
  }

 private:
  void RunNode(const Node& node,
               const std::function<void(const Node&, std::vector<Tensor>&)>& made) {
    Graph one;
    one.nodes = {node};
    std::vector<std::string> reads;
    for (const auto& [value, users] : Uses(one).consumers) {
      if (const Tensor* t = graph_.Initializer(value)) {
        one.initializers[value] = *t;
      } else {
        one.inputs.push_back({value, values_[0].at(value).dtype()});
        reads.push_back(value);
      }
    }
    for (const std::string& out : node.outputs)
      if (!out.empty()) one.outputs.push_back({out});
    // what reads constants alone is the same for all samples
    const bool constant = std::all_of(reads.begin(), reads.end(),
                                      [&](const std::string& r) { return constants_.contains(r); });
    const size_t runs = constant ? 1 : values_.size();
    const Session session(one, {});
    std::vector<std::vector<Tensor>> results(values_.size());
    threads_.Each(runs, [&](size_t i, size_t) {
      TensorMap inputs;
      for (const std::string& name : reads) inputs[name] = values_[i].at(name);
      results[i] = session.Run(inputs);
    });
    for (size_t i = runs; i < values_.size(); ++i) results[i] = results[0];
    for (size_t out = 0; out < one.outputs.size(); ++out) {
      std::vector<Tensor> tensors;
      for (auto& r : results) tensors.push_back(std::move(r[out]));
      if (out == 0) made(node, tensors);
      for (size_t i = 0; i < values_.size(); ++i)
        values_[i][one.outputs[out].name] = std::move(tensors[i]);
      if (constant) constants_.insert(one.outputs[out].name);
    }
  }

  const Graph& graph_;
  const Threads threads_;
  std::vector<std::unordered_map<std::string, Tensor>> values_;
  std::unordered_map<size_t, std::vector<std::string>> last_use_;  // by node
  std::unordered_set<std::string> constants_;
};

bool TakesShift(const Node& node, const Plan& plan) {
  const auto it = plan.nodes.find(node.name);
  return (node.Is("Conv") || node.Is("Gemm")) && it != plan.nodes.end() && it->second.quantized;
}

// How many samples go through at once, by what the largest needs: its values in the run, and as
// much again for a node's results and their other layout.
size_t SamplesThatFit(const Session& session, const TuningSet& samples, size_t memory) {
  size_t largest = 0;
  for (size_t i = 1; i < samples.size(); ++i)
    if (BytesOf(samples.inputs(i)) > BytesOf(samples.inputs(largest))) largest = i;
  const size_t one = std::max<size_t>(1, PeakOfRun(session, samples.inputs(largest)) * 3 / 2);
  return std::clamp<size_t>(memory / one, 1, samples.size());
}

}  // namespace

std::map<std::string, std::vector<float>> BiasShifts(const Model& prepared, const Plan& plan,
                                                     const TuningSet& samples, size_t memory,
                                                     const Threads& threads) {
  const Session session(prepared.graph, {});
  const size_t count = SamplesThatFit(session, samples, memory);
  std::vector<std::map<std::string, Means>> wanted(count);  // by sample and node
  threads.Each(count, [&](size_t i, size_t) {
    session.Run(samples.inputs(i), [&](const Node& node, size_t, Tensor& value) {
      if (TakesShift(node, plan)) wanted[i][node.name] = ChannelMeans(value);
    });
  });

  Plan unshifted = plan;
  for (auto& [name, node] : unshifted.nodes) node.bias_shift.clear();
  const Graph qdq = ApplyPlan(prepared, unshifted).graph;
  std::map<std::string, std::vector<float>> shifts;
  Lockstep(qdq, samples, count, threads).Run([&](const Node& node, std::vector<Tensor>& made) {
    if (!TakesShift(node, plan)) return;
    std::vector<double> sum(made[0].dim(1));
    for (size_t i = 0; i < count; ++i) {
      const Means got = ChannelMeans(made[i]);
      for (size_t c = 0; c < sum.size(); ++c) sum[c] += wanted[i].at(node.name)[c] - got[c];
    }
    std::vector<float>& shift = shifts[node.name];
    for (const double s : sum) shift.push_back(static_cast<float>(s / static_cast<double>(count)));
    threads.Each(count, [&](size_t i, size_t) { AddToChannels(made[i], shift); });
  });
  return shifts;
}

}  // namespace mezzo
