// How good a network's outputs are. A metric measures samples one by one (in any order, by any
// thread) and merges what it measured in the order of the samples, so that its value does not
// depend on the threads.
//
//   auto metric = MakeMetric("classify", {});
//   for each sample in order: metric->Merge(metric->Measure(sample, outputs, reference));
//   MetricResult r = metric->Finish();
#pragma once

#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mezzo/evaluate/dataset.h"

namespace mezzo {

// The graph's outputs, in order; `reference` ones come from the float network.
using Outputs = std::vector<Tensor>;

// What one sample adds to a metric.
struct Contribution {
  // How well this sample did, higher is better; NaN where only all samples together say. For lists
  // of the worst samples.
  double score = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> values;  // the metric's own
};

struct MetricResult {
  std::string name;
  double value = 0;
  bool higher_is_better = true;
  double standard_error =
      0;         // of the value, from the spread of the samples; NaN if it cannot be told
  size_t n = 0;  // samples (pairs, for similarity)
  std::map<std::string, double> details;  // further figures, by name
};

class Metric {
 public:
  virtual ~Metric() = default;
  virtual std::string name() const = 0;
  virtual bool higher_is_better() const { return true; }
  virtual bool needs_labels() const { return true; }
  virtual bool needs_reference() const { return false; }

  // Safe to call from several threads. Throws UsageError naming the sample if its label or the
  // outputs are not what the metric needs; FileError if a file cannot be written. `reference` may
  // be null unless needed.
  virtual Contribution Measure(const Sample& sample, const Outputs& outputs,
                               const Outputs* reference) const = 0;
  // In the order of the samples.
  virtual void Merge(const Contribution& c) = 0;
  // Throws UsageError if nothing was merged.
  virtual MetricResult Finish() = 0;
};

struct MetricOptions {
  size_t output = 0;                      // which of the network's outputs is meant
  std::string characters;                 // ctc: the metadata entry `character`, one a line
  double peak = 1.0;                      // psnr: the largest value a picture may have
  bool round_to_8_bits = true;            // psnr: compare as 8-bit pictures
  int border = 0;                         // psnr: pixels left out at each side
  std::string command;                    // command: the program to run
  bool higher_is_better = true;           // command
  std::vector<std::string> output_names;  // command: what the arrays are called
};

// classify, ctc, similarity, psnr, agreement, sqnr, kl, command. Throws UsageError listing them for
// another name, or if an option that the metric needs is missing.
std::unique_ptr<Metric> MakeMetric(const std::string& name, const MetricOptions& options);
std::vector<std::string> MetricNames();

// Mean and standard error of numbers that come one by one (Welford).
class RunningMean {
 public:
  void Add(double x) {
    const double d = x - mean_;
    mean_ += d / static_cast<double>(++n_);
    squares_ += d * (x - mean_);
  }
  size_t n() const { return n_; }
  double mean() const { return mean_; }
  double standard_error() const;  // NaN for fewer than two numbers

 private:
  size_t n_ = 0;
  double mean_ = 0, squares_ = 0;
};

// The output meant, as float32 in plain layout. Throws UsageError naming the sample if there is
// none.
Tensor OutputOf(const Sample& sample, const Outputs& outputs, size_t output);
// The label, if it is a T; else throws UsageError "NAME: sample 'x' has LABEL, needs WHAT".
template <class T>
const T& LabelAs(const Sample& sample, const std::string& metric, const std::string& what) {
  const T* label = std::get_if<T>(&sample.label);
  Require(
      label != nullptr, metric, ": sample '", sample.name, "' has ",
      std::holds_alternative<std::monostate>(sample.label) ? "no label" : "another kind of label",
      ", needs ", what);
  return *label;
}

}  // namespace mezzo
