// What each candidate precision of each layer would add to the loss, to second order, from one
// backward pass a sample.
//
// For a layer's weight W, its candidates Q(W) and the gradient g of a probe (probe.h) by W,
//
//   loss(Q) = 1/2 E[ <g, Q(W) - W>^2 ]
//
// (arXiv 2110.06554, eq. 9; METHODS 3). The errors of different output channels are made by
// independent roundings, so the products of two channels' parts have mean zero: leaving them out,
// `rows` has the same mean and far less noise than `full`. `elements` leaves out all products of
// two weights, which is only right for rounding to nearest.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "mezzo/algorithm/sensitivity/probe.h"
#include "mezzo/calibrate/collect.h"
#include "mezzo/runtime/gradient/gradient.h"

namespace mezzo {

// Of a Conv, Gemm or MatMul with a constant weight: Q(W) - W for each candidate, laid out as W.
// `shifts`, if given, is what each candidate adds to the output channels, (channels) or absent: the
// change of the output is then (Q(W) - W) x + shift.
struct WeightDeltas {
  std::string node;
  std::vector<Tensor> deltas;
  std::vector<Tensor> shifts;
};

// Of a value: each candidate writes Q(a) for the value's elements a, of which there are as many.
struct ActivationCandidates {
  std::string value;
  std::vector<std::function<void(std::span<const float> a, float* q)>> quantize;
};

// 1/2 E[<g, Q(a) - a>^2], g the probe's gradient by the value; by candidate.
struct ActivationSensitivity {
  std::string value;
  std::vector<double> loss;
};

// What one layer's candidates cost, by kind of estimate; each by candidate.
struct LayerSensitivity {
  std::string node;
  std::vector<double> full, rows, elements;  // 1/2 E[<g, d>^2] in the three forms
  std::vector<double> outputs;  // 1/2 E[sum over outputs of (g_y dy)^2], dy = d * x; or none
  double trace = 0;             // E |g|^2: of the second derivative by W
};

// The layers of one graph, fed sample by sample; what samples add is kept apart and summed in
// their order, so that results do not depend on threads.
class SensitivityPass {
 public:
  // `also`: values whose gradients Add is to return. The graph must outlive the pass. Throws
  // UsageError if a node has no constant weight or a delta another shape. LayerSensitivity::outputs
  // comes from every `outputs`-th sample; 0: none.
  SensitivityPass(const Graph& graph, std::vector<WeightDeltas> layers,
                  std::vector<ActivationCandidates> activations, std::set<std::string> also,
                  size_t samples, size_t outputs, Threads threads);

  Tape Forward(const TensorMap& inputs) const { return gradient_.Forward(inputs); }
  // Adds a probe of a sample; several threads may add different samples.
  TensorMap Add(size_t sample, const Tape& tape, const std::vector<Tensor>& probe);
  // Means over `probes` probes.
  std::vector<LayerSensitivity> Results(size_t probes) const;
  std::vector<ActivationSensitivity> ActivationResults(size_t probes) const;

 private:
  struct Terms {  // of one layer and sample, by candidate
    std::vector<double> full, rows, elements, outputs;
    double trace = 0;
    std::vector<float> by_channel;  // the gradient by the output's channels, until it is used
  };
  struct Layer {
    const Node* node;
    Tensor weight;
    std::vector<Tensor> deltas, shifts;
    std::vector<Terms> terms;  // by sample
  };

  struct Activation {
    ActivationCandidates candidates;
    std::vector<std::vector<double>> squares;  // by sample and candidate
  };

  void AddActivation(Activation& activation, size_t sample, const Tensor& a, const Tensor& g) const;
  void AddWeight(Layer& layer, size_t sample, const Tensor& g) const;
  void AddShift(Layer& layer, size_t sample, const Tensor& g) const;
  void AddOutput(Layer& layer, size_t sample, const Tensor& x, const Tensor& g) const;

  std::vector<Layer> layers_;
  std::vector<Activation> activations_;
  std::map<std::string, std::vector<Layer*>> by_weight_, by_output_;
  std::map<std::string, Activation*> by_value_;
  const std::set<std::string> also_;
  const size_t samples_, outputs_;
  Threads threads_;
  Gradient gradient_;
};

struct SensitivityTask {
  SampleFn sample;
  size_t count = 0;
  // The gradient of the outputs for sample i.
  std::function<std::vector<Tensor>(size_t i, const std::vector<Tensor>& outputs)> probe;
  // LayerSensitivity::outputs too, which take one more product a candidate: from every so many
  // samples; 0: none.
  size_t outputs = 0;
};

struct Sensitivities {
  std::vector<LayerSensitivity> layers;
  std::vector<ActivationSensitivity> activations;
};

// Samples 0..count-1, one a thread.
Sensitivities MeasureSensitivity(const Graph& graph, std::vector<WeightDeltas> layers,
                                 std::vector<ActivationCandidates> activations,
                                 const SensitivityTask& task, const Threads& threads,
                                 const std::function<void(size_t)>& progress = {});

}  // namespace mezzo
