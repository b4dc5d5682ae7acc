// Measures a model on samples of a dataset, several samples at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/evaluate/dataset.h"
#include "mezzo/evaluate/metric.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

struct SampleScore {
  std::string name;
  double score;  // higher is better; NaN where the metric has none
};

struct Evaluation {
  MetricResult result;
  std::vector<SampleScore> scores;  // by sample, in order
};

class Evaluator {
 public:
  // `float_graph` may be null if the metric needs no reference; its outputs are computed once and
  // kept if they take less than 64 MB.
  Evaluator(const Dataset& dataset, std::vector<size_t> samples, std::string metric,
            MetricOptions options, const Graph* float_graph, Threads threads);

  // The value does not depend on the number of threads. `progress` is called after each sample.
  Evaluation Run(const Graph& graph, const std::function<void()>& progress = {});

  bool higher_is_better() const { return higher_is_better_; }
  const std::string& metric() const { return metric_; }

 private:
  Outputs Reference(size_t i, const Sample& sample);

  const Dataset& dataset_;
  const std::vector<size_t> samples_;
  const std::string metric_;
  const MetricOptions options_;
  const Threads threads_;
  bool higher_is_better_ = true, needs_reference_ = false;
  std::unique_ptr<Session> reference_session_;
  std::vector<Outputs> kept_;  // empty Outputs where not kept
  std::atomic<size_t> kept_bytes_{0};
};

// The metric that fits the dataset's labels: classify, ctc, similarity, psnr, or agreement without
// labels.
std::string MetricFor(const Dataset& dataset);

// The share of samples with a lower score than in `reference`, for metrics whose samples are right
// or wrong (classify, ctc, agreement); NaN for others.
double RegressionShare(const std::string& metric, const Evaluation& reference,
                       const Evaluation& evaluation);

// What a metric's change costs, to be compared with a tolerance: the relative drop; for kl its
// value in nats, for sqnr the noise as a share of the signal's power.
double MetricLoss(const std::string& metric, bool higher_is_better, double float_value,
                  double value);

}  // namespace mezzo
