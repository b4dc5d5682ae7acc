#include "mezzo/evaluate/evaluator.h"

#include <cmath>

namespace mezzo {
namespace {

constexpr size_t kReferenceBytes = size_t{64} << 20;

}  // namespace

Evaluator::Evaluator(const Dataset& dataset, std::vector<size_t> samples, std::string metric,
                     MetricOptions options, const Graph* float_graph, Threads threads)
    : dataset_(dataset),
      samples_(std::move(samples)),
      metric_(std::move(metric)),
      options_(std::move(options)),
      threads_(std::move(threads)),
      kept_(samples_.size()) {
  const auto probe = MakeMetric(metric_, options_);
  higher_is_better_ = probe->higher_is_better();
  needs_reference_ = probe->needs_reference();
  Require(!needs_reference_ || float_graph, metric_, " needs the float model to compare with");
  Require(!probe->needs_labels() || dataset.labelled(), metric_,
          " needs labels, and the data has none");
  if (needs_reference_)
    reference_session_ = std::make_unique<Session>(*float_graph, SessionOptions{});
}

Outputs Evaluator::Reference(size_t i, const Sample& sample) {
  if (!kept_[i].empty()) return kept_[i];
  Outputs outputs = reference_session_->Run(sample.inputs);
  size_t bytes = 0;
  for (const Tensor& t : outputs) bytes += t.bytes();
  if (kept_bytes_.fetch_add(bytes) + bytes <= kReferenceBytes) kept_[i] = outputs;
  return outputs;
}

Evaluation Evaluator::Run(const Graph& graph, const std::function<void()>& progress) {
  const Session session(graph, {});
  const auto metric = MakeMetric(metric_, options_);
  std::vector<Contribution> parts(samples_.size());
  Evaluation evaluation;
  evaluation.scores.resize(samples_.size());
  threads_.Each(samples_.size(), [&](size_t i, size_t) {
    const Sample sample = dataset_.Get(samples_[i]);
    const Outputs outputs = session.Run(sample.inputs);
    if (needs_reference_) {
      const Outputs reference = Reference(i, sample);
      parts[i] = metric->Measure(sample, outputs, &reference);
    } else {
      parts[i] = metric->Measure(sample, outputs, nullptr);
    }
    evaluation.scores[i] = {sample.name, parts[i].score};
    if (progress) progress();
  });
  for (const Contribution& part : parts) metric->Merge(part);
  evaluation.result = metric->Finish();
  return evaluation;
}

std::string MetricFor(const Dataset& dataset) {
  if (!dataset.labelled()) return "agreement";
  const Label label = dataset.Get(0).label;
  if (std::holds_alternative<std::string>(label)) return "ctc";
  if (std::holds_alternative<Tensor>(label)) return "psnr";
  return std::holds_alternative<double>(label) && dataset.group() == 2 ? "similarity" : "classify";
}

double RegressionShare(const std::string& metric, const Evaluation& reference,
                       const Evaluation& evaluation) {
  if (metric != "classify" && metric != "ctc" && metric != "agreement") return NAN;
  double lost = 0;
  for (size_t i = 0; i < evaluation.scores.size(); ++i)
    lost += evaluation.scores[i].score < reference.scores[i].score;
  return lost / static_cast<double>(evaluation.scores.size());
}

double MetricLoss(const std::string& metric, bool higher_is_better, double float_value,
                  double value) {
  if (metric == "kl") return value;
  if (metric == "sqnr") return std::pow(10, -value / 10);
  const double drop = higher_is_better ? float_value - value : value - float_value;
  return float_value != 0 ? drop / std::fabs(float_value) : drop;
}

}  // namespace mezzo
