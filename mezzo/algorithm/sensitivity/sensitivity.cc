#include "mezzo/algorithm/sensitivity/sensitivity.h"

#include <atomic>

#include "mezzo/algorithm/weights.h"
#include "mezzo/runtime/gradient/rule.h"

namespace mezzo {
namespace {

const Node& FindNode(const Graph& graph, const std::string& name) {
  for (const Node& node : graph.nodes)
    if (node.name == name) return node;
  throw UsageError(Cat("sensitivity: the graph has no node ", name));
}

std::set<std::string> Wanted(const Graph& graph, const std::vector<WeightDeltas>& layers,
                             const std::vector<ActivationCandidates>& activations,
                             const std::set<std::string>& also, bool outputs) {
  std::set<std::string> wanted = also;
  for (const ActivationCandidates& a : activations) wanted.insert(a.value);
  for (const WeightDeltas& layer : layers) {
    const Node& node = FindNode(graph, layer.node);
    Require(node.HasInput(1) && graph.Initializer(node.inputs[1]), "sensitivity: node ", node.name,
            " has no constant weight");
    wanted.insert(node.inputs[1]);
    if (outputs || !layer.shifts.empty()) wanted.insert(node.outputs[0]);
  }
  return wanted;
}

// What a row of weights adds: its sum of g d, and of the squares of g d.
struct RowSum {
  float sum = 0, squares = 0;
};

RowSum SumRow(const float* g, const float* d, int64_t n) {
  constexpr int64_t kLanes = 8;
  float sum[kLanes] = {}, squares[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t l = 0; l < kLanes; ++l) {
      const float p = g[i + l] * d[i + l];
      sum[l] += p;
      squares[l] += p * p;
    }
  for (int64_t l = 0; i < n; ++i, ++l) {
    const float p = g[i] * d[i];
    sum[l] += p;
    squares[l] += p * p;
  }
  RowSum r;
  for (int64_t l = 0; l < kLanes; ++l) r.sum += sum[l], r.squares += squares[l];
  return r;
}

}  // namespace

SensitivityPass::SensitivityPass(const Graph& graph, std::vector<WeightDeltas> layers,
                                 std::vector<ActivationCandidates> activations,
                                 std::set<std::string> also, size_t samples, size_t outputs,
                                 Threads threads)
    : also_(std::move(also)),
      samples_(samples),
      outputs_(outputs),
      threads_(threads),
      gradient_(graph, Wanted(graph, layers, activations, also_, outputs > 0), threads) {
  activations_.reserve(activations.size());
  for (ActivationCandidates& a : activations) {
    activations_.push_back({std::move(a), std::vector<std::vector<double>>(samples)});
    by_value_[activations_.back().candidates.value] = &activations_.back();
  }
  layers_.reserve(layers.size());
  for (WeightDeltas& l : layers) {
    const Node& node = FindNode(graph, l.node);
    const Tensor& weight = *graph.Initializer(node.inputs[1]);
    for (const Tensor& d : l.deltas)
      Require(d.shape() == weight.shape(), "sensitivity: node ", node.name, " has a weight ",
              ToString(weight.shape()), ", got a change ", ToString(d.shape()));
    Require(l.shifts.empty() || l.shifts.size() == l.deltas.size(), "sensitivity: node ", node.name,
            " has ", l.shifts.size(), " shifts for ", l.deltas.size(), " changes");
    layers_.push_back(
        {&node, weight, std::move(l.deltas), std::move(l.shifts), std::vector<Terms>(samples)});
    by_weight_[node.inputs[1]].push_back(&layers_.back());
    by_output_[node.outputs[0]].push_back(&layers_.back());
  }
}

TensorMap SensitivityPass::Add(size_t sample, const Tape& tape, const std::vector<Tensor>& probe) {
  TensorMap found;
  gradient_.Reverse(tape, probe, [&](const std::string& value, const Tensor& g) {
    if (also_.contains(value)) found[value] = g;
    if (const auto it = by_value_.find(value); it != by_value_.end())
      AddActivation(*it->second, sample, gradient_.Value(tape, value), g);
    if (const auto it = by_weight_.find(value); it != by_weight_.end())
      for (Layer* layer : it->second) AddWeight(*layer, sample, g);
    if (const auto it = by_output_.find(value); it != by_output_.end())
      for (Layer* layer : it->second) {
        if (!layer->shifts.empty()) AddShift(*layer, sample, g);
        if (outputs_ && sample % outputs_ == 0)
          AddOutput(*layer, sample, gradient_.Value(tape, layer->node->inputs[0]), g);
      }
  });
  return found;
}

void SensitivityPass::AddWeight(Layer& layer, size_t sample, const Tensor& any) const {
  const Tensor g = any.ToLayout(Layout::kPlain);
  Terms& terms = layer.terms[sample];
  const size_t candidates = layer.deltas.size();
  terms.full.resize(candidates);
  terms.rows.resize(candidates);
  terms.elements.resize(candidates);
  for (const float v : g.span<float>()) terms.trace += static_cast<double>(v) * v;
  // (out, in) matrices are taken row by row; of (in, out) ones, columns are the rows.
  const WeightRows rows(*layer.node, layer.weight);
  const int64_t channels = rows.channels, depth = rows.depth;
  std::vector<float> gt;
  const auto turned = [&](const float* from, std::vector<float>& to) {
    to.resize(channels * depth);
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t o = 0; o < channels; ++o) to[o * depth + k] = from[k * channels + o];
    return to.data();
  };
  std::vector<float> dt;
  const float* gw = rows.row_major ? g.data<float>() : turned(g.data<float>(), gt);
  for (size_t c = 0; c < candidates; ++c) {
    const float* from = layer.deltas[c].data<float>();
    const float* d = rows.row_major ? from : turned(from, dt);
    double full = 0, squared_rows = 0, elements = 0;
    const bool shifted = !layer.shifts.empty() && layer.shifts[c].defined();
    for (int64_t o = 0; o < channels; ++o) {
      RowSum r = SumRow(gw + o * depth, d + o * depth, depth);
      if (shifted) r.sum += terms.by_channel[o] * layer.shifts[c].data<float>()[o];
      full += r.sum;
      squared_rows += static_cast<double>(r.sum) * r.sum;
      elements += r.squares;
    }
    terms.full[c] += full * full;
    terms.rows[c] += squared_rows;
    terms.elements[c] += elements;
  }
  terms.by_channel = {};
}

// An output value's gradient comes before the weight's.
void SensitivityPass::AddShift(Layer& layer, size_t sample, const Tensor& gradient) const {
  const Tensor g = gradient.ToLayout(Layout::kPlain);
  const bool conv = layer.node->Is("Conv");  // else channels are last
  const int64_t channels = conv ? g.dim(1) : g.shape().back();
  const int64_t inner = conv && channels ? g.numel() / (g.dim(0) * channels) : 1;
  std::vector<double> sums(channels);
  for (int64_t i = 0; i < g.numel(); ++i) sums[i / inner % channels] += g.data<float>()[i];
  layer.terms[sample].by_channel.assign(sums.begin(), sums.end());
}

void SensitivityPass::AddActivation(Activation& activation, size_t sample, const Tensor& value,
                                    const Tensor& gradient) const {
  const Tensor a = value.ToLayout(gradient.layout());
  const float *x = a.data<float>(), *g = gradient.data<float>();
  std::vector<float> q(a.numel());
  const auto& candidates = activation.candidates.quantize;
  activation.squares[sample].resize(candidates.size());
  for (size_t c = 0; c < candidates.size(); ++c) {
    candidates[c](a.span<float>(), q.data());
    double sum = 0;
    for (int64_t i = 0; i < a.numel(); ++i) sum += static_cast<double>(g[i]) * (q[i] - x[i]);
    activation.squares[sample][c] += sum * sum;
  }
}

void SensitivityPass::AddOutput(Layer& layer, size_t sample, const Tensor& x,
                                const Tensor& g) const {
  Terms& terms = layer.terms[sample];
  terms.outputs.resize(layer.deltas.size());
  Node node = *layer.node;
  node.inputs.resize(2);  // without the bias
  Tensor like_dy;         // g
  for (size_t c = 0; c < layer.deltas.size(); ++c) {
    const Tensor dy = RunOp(node, {x, layer.deltas[c]}, threads_)[0];
    if (c == 0) like_dy = g.ToLayout(dy.layout());
    terms.outputs[c] += SumRow(like_dy.data<float>(), dy.data<float>(), dy.numel()).squares;
  }
}

std::vector<LayerSensitivity> SensitivityPass::Results(size_t probes) const {
  std::vector<LayerSensitivity> all;
  const double share = 1 / static_cast<double>(probes);
  for (const Layer& layer : layers_) {
    LayerSensitivity s;
    s.node = layer.node->name;
    const size_t candidates = layer.deltas.size();
    const auto sum = [&](std::vector<double> Terms::*part) {
      std::vector<double> total(candidates);
      for (const Terms& t : layer.terms)
        for (size_t c = 0; c < (t.*part).size(); ++c) total[c] += 0.5 * share * (t.*part)[c];
      return total;
    };
    s.full = sum(&Terms::full);
    s.rows = sum(&Terms::rows);
    s.elements = sum(&Terms::elements);
    if (outputs_) {
      s.outputs = sum(&Terms::outputs);
      const size_t of = (samples_ + outputs_ - 1) / outputs_;  // samples that were asked
      for (double& v : s.outputs) v *= static_cast<double>(samples_) / static_cast<double>(of);
    }
    for (const Terms& t : layer.terms) s.trace += share * t.trace;
    all.push_back(std::move(s));
  }
  return all;
}

std::vector<ActivationSensitivity> SensitivityPass::ActivationResults(size_t probes) const {
  std::vector<ActivationSensitivity> all;
  for (const Activation& a : activations_) {
    all.push_back({a.candidates.value, std::vector<double>(a.candidates.quantize.size())});
    for (const std::vector<double>& squares : a.squares)
      for (size_t c = 0; c < squares.size(); ++c)
        all.back().loss[c] += 0.5 * squares[c] / static_cast<double>(probes);
  }
  return all;
}

Sensitivities MeasureSensitivity(const Graph& graph, std::vector<WeightDeltas> layers,
                                 std::vector<ActivationCandidates> activations,
                                 const SensitivityTask& task, const Threads& threads,
                                 const std::function<void(size_t)>& progress) {
  Require(task.count > 0, "sensitivity needs at least one sample");
  SensitivityPass pass(graph, std::move(layers), std::move(activations), {}, task.count,
                       task.outputs, {});
  std::atomic<size_t> done{0};
  threads.Each(task.count, [&](size_t i, size_t) {
    const Tape tape = pass.Forward(task.sample(i));
    pass.Add(i, tape, task.probe(i, tape.outputs));
    const size_t now = ++done;
    if (progress) progress(now);
  });
  return {pass.Results(task.count), pass.ActivationResults(task.count)};
}

}  // namespace mezzo
