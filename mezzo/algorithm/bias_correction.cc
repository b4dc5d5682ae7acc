#include "mezzo/algorithm/bias_correction.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/recovery/network_paths.h"

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

void ApplyToChannels(Tensor& t, const OutputFit& fit) {
  const int64_t channels = t.dim(1), rows = t.dim(0) * channels;
  const int64_t inner = rows ? t.numel() / rows : 0;
  for (int64_t r = 0; r < rows; ++r)
    for (float& v : std::span(t.data<float>() + r * inner, static_cast<size_t>(inner)))
      v = v * fit.scale[r % channels] + fit.shift[r % channels];
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

// By the node that ends each layer which takes a shift, the layer.
std::map<std::string, std::string> LayerEnds(const Graph& prepared, const Plan& plan) {
  std::map<std::string, std::string> ends;
  for (const Node& node : prepared.nodes)
    if (TakesShift(node, plan))
      ends[plan.HasPath(node.name) ? PathSum(node.name) : node.name] = node.name;
  return ends;
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

// A few values of each channel, evenly spread over samples and positions: (channels, kPositions).
constexpr int64_t kPositions = 32;
std::vector<float> SomeValues(const Tensor& value) {
  const Tensor t = value.ToLayout(Layout::kPlain);
  const int64_t channels = t.dim(1), samples = t.dim(0);
  const int64_t inner = channels && samples ? t.numel() / (channels * samples) : 0;
  std::vector<float> some(channels * kPositions);
  for (int64_t c = 0; c < channels; ++c)
    for (int64_t p = 0; p < kPositions && inner > 0; ++p) {
      const int64_t at = p * samples * inner / kPositions;
      some[c * kPositions + p] = t.data<float>()[(at / inner * channels + c) * inner + at % inner];
    }
  return some;
}

// A number fitted for each channel, and the squares of their standard errors, which see samples,
// not their positions, as independent.
struct Estimates {
  std::vector<double> values, errors;
};

// What is left of estimates when chance is taken out: James and Stein's factor, between 0 and 1.
// One sample says nothing of chance.
double Trusted(const Estimates& e, size_t samples) {
  if (samples < 2) return 0;
  double chance = 0, all = 0;
  for (size_t c = 0; c < e.values.size(); ++c) {
    chance += e.errors[c];
    all += e.values[c] * e.values[c];
  }
  return all > chance ? 1 - chance / all : 0;
}

// What scales of the channels bring values q nearest to values f, less 1; by sample, SomeValues.
Estimates ScalesFrom1(const std::vector<const float*>& f, const std::vector<const float*>& q,
                      size_t channels) {
  Estimates e;
  const auto samples = static_cast<double>(f.size());
  const double n = samples * kPositions;
  for (size_t c = 0; c < channels; ++c) {
    const size_t begin = c * kPositions, end = begin + kPositions;
    double mf = 0, mq = 0, fq = 0, qq = 0;
    for (size_t i = 0; i < f.size(); ++i)
      for (size_t p = begin; p < end; ++p) mf += f[i][p] / n, mq += q[i][p] / n;
    for (size_t i = 0; i < f.size(); ++i)
      for (size_t p = begin; p < end; ++p) {
        fq += (f[i][p] - mf) * (q[i][p] - mq);
        qq += (q[i][p] - mq) * (q[i][p] - mq);
      }
    const double scale = qq > 0 ? std::clamp(fq / qq, 0.5, 2.0) : 1;
    double error = 0;
    for (size_t i = 0; i < f.size(); ++i) {
      double sum = 0;
      for (size_t p = begin; p < end; ++p)
        sum += (f[i][p] - mf - scale * (q[i][p] - mq)) * (q[i][p] - mq);
      error += sum * sum;
    }
    e.values.push_back(scale - 1);
    e.errors.push_back(qq > 0 ? error / (qq * qq) * samples / std::max(1.0, samples - 1) : 0);
  }
  return e;
}

// Means over samples of f - scale q, both by sample and channel.
Estimates Shifts(const std::vector<const Means*>& f, const std::vector<Means>& q,
                 const std::vector<float>& scale) {
  Estimates e;
  const auto n = static_cast<double>(f.size());
  for (size_t c = 0; c < scale.size(); ++c) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < f.size(); ++i) {
      const double d = (*f[i])[c] - scale[c] * q[i][c];
      sum += d;
      squares += d * d;
    }
    e.values.push_back(sum / n);
    e.errors.push_back(n > 1 ? (squares / n - sum * sum / (n * n)) / (n - 1) : 0);
  }
  return e;
}

struct FitKind {
  bool scales = false;   // else shifts alone
  bool trusted = false;  // chance is left out
};

// Fits layer after layer.
std::map<std::string, OutputFit> Fit(const Model& prepared, const Plan& plan,
                                     const TuningSet& samples, size_t memory,
                                     const Threads& threads, FitKind kind) {
  struct Seen {
    Means means;
    std::vector<float> values;
  };
  const Session session(prepared.graph, {});
  const size_t count = SamplesThatFit(session, samples, memory);
  std::vector<std::map<std::string, Seen>> wanted(count);  // by sample and node
  threads.Each(count, [&](size_t i, size_t) {
    session.Run(samples.inputs(i), [&](const Node& node, size_t, Tensor& value) {
      if (TakesShift(node, plan))
        wanted[i][node.name] = {ChannelMeans(value),
                                kind.scales ? SomeValues(value) : std::vector<float>{}};
    });
  });

  Plan unshifted = plan;
  for (auto& [name, node] : unshifted.nodes) node.bias_shift.clear();
  const Graph qdq = ApplyPlan(prepared, unshifted).graph;
  const std::map<std::string, std::string> ends = LayerEnds(prepared.graph, plan);
  std::map<std::string, OutputFit> fits;
  Lockstep(qdq, samples, count, threads).Run([&](const Node& node, std::vector<Tensor>& made) {
    const auto end = ends.find(node.name);
    if (end == ends.end()) return;
    const std::string& layer = end->second;
    const bool scales = kind.scales && layer == node.name;  // of codes, not of paths
    std::vector<const Means*> f;
    std::vector<Means> q;
    std::vector<std::vector<float>> values;
    std::vector<const float*> as_float, as_codes;
    for (size_t i = 0; i < count; ++i) {
      const Seen& want = wanted[i].at(layer);
      f.push_back(&want.means);
      q.push_back(ChannelMeans(made[i]));
      if (!scales) continue;
      values.push_back(SomeValues(made[i]));
      as_float.push_back(want.values.data());
      as_codes.push_back(values.back().data());
    }
    OutputFit& fit = fits[layer];
    const auto channels = static_cast<size_t>(made[0].dim(1));
    fit.scale.assign(channels, 1);
    if (scales) {
      const Estimates found = ScalesFrom1(as_float, as_codes, channels);
      const double trusted = Trusted(found, count);
      for (size_t c = 0; c < channels; ++c)
        fit.scale[c] = static_cast<float>(1 + trusted * found.values[c]);
    }
    const Estimates found = Shifts(f, q, fit.scale);
    const double trusted = kind.trusted ? Trusted(found, count) : 1;
    for (const double v : found.values) fit.shift.push_back(static_cast<float>(trusted * v));
    threads.Each(count, [&](size_t i, size_t) { ApplyToChannels(made[i], fit); });
  });
  return fits;
}

}  // namespace

std::map<std::string, std::vector<float>> BiasShifts(const Model& prepared, const Plan& plan,
                                                     const TuningSet& samples, size_t memory,
                                                     const Threads& threads) {
  std::map<std::string, std::vector<float>> shifts;
  for (auto& [name, fit] : Fit(prepared, plan, samples, memory, threads, {}))
    shifts[name] = std::move(fit.shift);
  return shifts;
}

std::map<std::string, OutputFit> FitOutputs(const Model& prepared, const Plan& plan,
                                            const TuningSet& samples, size_t memory, bool scales,
                                            const Threads& threads) {
  return Fit(prepared, plan, samples, memory, threads, {.scales = scales, .trusted = true});
}

void ApplyFits(const Graph& prepared, const std::map<std::string, OutputFit>& fits, Plan& plan) {
  for (const Node& node : prepared.nodes) {
    const auto it = fits.find(node.name);
    if (it == fits.end()) continue;
    const OutputFit& fit = it->second;
    NodePlan& p = plan.nodes.at(node.name);
    p.bias_shift = fit.shift;
    const Tensor* bias = node.HasInput(2) ? prepared.Initializer(node.inputs[2]) : nullptr;
    for (size_t c = 0; c < fit.scale.size(); ++c) {
      p.weight_scales[c] *= fit.scale[c];
      if (bias)  // the scale is of all that is put out
        p.bias_shift[c] += (fit.scale[c] - 1) * bias->data<float>()[bias->numel() == 1 ? 0 : c];
    }
  }
}

}  // namespace mezzo
