// The INT8 workflow: from a float model and samples to a Plan that keeps the accuracy.
//
// Wu et al. 2020, "Integer Quantization for Deep Learning Inference",
// https://arxiv.org/abs/2004.09602, section 5: calibrate with every rule, keep the best; correct
// biases; then partial quantization by measured sensitivity until the tolerance holds. Departures:
// every candidate is judged by running its integers, not a simulation; asymmetric grids compete
// with symmetric ones; ranges are refined tensor by tensor; sensitivity is what a layer gives back
// when it alone returns to float, weighed against the multiply-adds it costs.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/distortion.h"
#include "mezzo/algorithm/plan.h"
#include "mezzo/algorithm/recovery/train_network.h"
#include "mezzo/algorithm/round_layers.h"
#include "mezzo/calibrate/histogram.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

struct Measured {
  double metric = 0;
  double regressions =
      0;  // share of samples that the float model gets right and this one does not; NaN if unknown
};

// What the workflow is to keep. Calibration and held-out samples are apart.
struct Int8Task {
  SampleFn calibration;
  size_t calibration_count = 0;
  std::string metric_name;
  size_t held_out_count = 0;
  std::function<Measured(const Graph&)>
      metric;  // of a model with the float model's interface, on held-out samples
  // What a change of the metric costs, to be compared with the tolerance; negative is a gain.
  std::function<double(double float_metric, double metric)> loss;
  DistortionKind distortion = DistortionKind::kRelativeError;
};

struct Int8Options {
  IntFormat activations = kUInt8;
  std::string calibration = "auto";  // or one rule: calibrators.h
  double tolerance = 0.01;
  std::vector<std::string> exclude;  // nodes and tables that stay float
  bool limit_pairs = true;           // weights.h
  bool refine = true;  // ranges tensor by tensor, if the tolerance does not hold without
  bool correct_bias = true;
  bool equalize = true;
  bool correct_rounding = true;  // rounding.h
  WeightChoice weights;          // of all layers; activations stay 8 bits
  NetworkTraining training;      // of its paths, if it has samples; with threads
  const WeightFormat* tables = FindWeightFormat("int8");  // tables.h
  size_t tuning_samples = 48;
  size_t tuning_bytes = size_t{64} << 20;  // and of those that go in lockstep: bias_correction.h
  size_t moment_bytes = size_t{96} << 20;  // moments.h
  Threads threads;
  std::function<void(const std::string&)> say;  // a line for each step as it ends
  std::function<void(const std::string& what, size_t done, size_t of)> progress;
  std::function<void(const std::string&)> begin;  // told each stage as it begins
};

struct Int8Result {
  Plan plan;
  Model prepared, quantized;                    // float, as PrepareFor makes it, and QDQ
  std::map<std::string, Histogram> histograms;  // of every activation that could be quantized
  std::map<std::string, int64_t> macs;          // by node
  double metric = 0, loss = 0;
  bool within_tolerance = false;
};

// Throws UsageError if a weight or activation holds NaN (naming it), an excluded node does not
// exist, or nothing can be quantized.
Int8Result QuantizeInt8(const Model& model, const Int8Task& task, const Int8Options& options);

}  // namespace mezzo
