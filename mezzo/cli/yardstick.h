// Samples of a run, with the float model's outputs on them, to measure graphs against.
#pragma once

#include <cstdint>
#include <vector>

#include "mezzo/cli/int8_setup.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

class Yardstick {
 public:
  // Samples of the setup's data set, and the float graph.
  Yardstick(const Int8Setup& setup, std::vector<size_t> samples, const Graph& graph)
      : setup_(setup), samples_(std::move(samples)), session_(graph, {}), kept_(samples_.size()) {}

  // ProbeSize of each sample.
  std::vector<double> Sizes();
  // The mean loss of a graph's outputs over the first `count` samples.
  double Loss(const Graph& graph, size_t count = SIZE_MAX);

 private:
  TensorMap Inputs(size_t i) const { return setup_.dataset->Get(samples_[i]).inputs; }
  std::vector<Tensor> FloatOutputs(size_t i, const TensorMap& inputs);

  const Int8Setup& setup_;
  const std::vector<size_t> samples_;
  const Session session_;
  std::vector<std::vector<Tensor>> kept_;  // outputs made before, if all fit in memory
};

}  // namespace mezzo
