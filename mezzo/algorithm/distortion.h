// How far a quantized model's outputs are from the float model's: the smooth figure that choices
// are made by.
#pragma once

#include <string>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/calibrate/collect.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

// Which distance suits the outputs. At temperature T = 4, as in distillation (Hinton et al. 2015,
// https://arxiv.org/abs/1503.02531), rows that are certain count too; at 1 the few that are not
// decide alone, and a few dozen samples cannot tell a good plan from a bad one.
enum class DistortionKind : uint8_t {
  kRelativeError,  // sum (q - f)^2 / sum f^2, over each output of a sample; the mean over outputs
  kKlLogits,  // T^2 KL(softmax f/T || softmax q/T) along the last axis of output 0; the mean over
              // rows
  kKlProbabilities,  // the same for outputs that are distributions already: f and q are their logs
};

// What one sample adds to a distortion: for each output (for KL only the first) a sum and what it
// is divided by.
struct DistortionTerm {
  double sum = 0, weight = 0;
};
std::vector<DistortionTerm> DistortionTerms(DistortionKind kind, const std::vector<Tensor>& f,
                                            const std::vector<Tensor>& q);

// The kind that suits a metric, by what the model's first output looks like on one sample: KL for
// classify, ctc, agreement and kl; relative error for the others.
DistortionKind DistortionFor(const Graph& graph, const std::string& metric,
                             const TensorMap& sample);

// Samples kept in memory, with the float model's outputs on them.
class TuningSet {
 public:
  // Samples 0, 1, ... until `count` or until they and their outputs take `limit` bytes (at least
  // one).
  TuningSet(const Graph& float_graph, DistortionKind kind, const SampleFn& sample, size_t count,
            size_t limit, const Threads& threads);

  size_t size() const { return inputs_.size(); }
  const TensorMap& inputs(size_t i) const { return inputs_[i]; }

  // The mean distortion of a graph with the same inputs and outputs over the first `count` samples;
  // the same for any number of threads. `hook` is Session::Run's.
  double Measure(const Graph& graph, size_t count = SIZE_MAX, const ValueHook& hook = {}) const;

 private:
  DistortionKind kind_;
  Threads threads_;
  std::vector<TensorMap> inputs_;
  std::vector<std::vector<Tensor>> outputs_;
};

}  // namespace mezzo
