#include "mezzo/evaluate/metrics/classification.h"

#include <cmath>
#include <utility>

namespace mezzo {
namespace {

class Classification : public Metric {
 public:
  explicit Classification(const MetricOptions& o) : output_(o.output) {}
  std::string name() const override { return "top1"; }

  Contribution Measure(const Sample& sample, const Outputs& outputs,
                       const Outputs*) const override {
    const Tensor t = OutputOf(sample, outputs, output_);
    const int64_t label = LabelAs<int64_t>(sample, "classify", "a class index");
    Require(0 <= label && label < t.numel(), "classify: sample '", sample.name, "' has class ",
            label, ", the network knows ", t.numel(), " classes");
    const std::span<const float> scores = std::as_const(t).span<float>();
    int64_t better = 0;
    for (int64_t i = 0; i < t.numel(); ++i) {
      Require(!std::isnan(scores[i]), "classify: sample '", sample.name, "': the output holds NaN");
      better += scores[i] > scores[label] || (scores[i] == scores[label] && i < label);
    }
    return {better == 0 ? 1.0 : 0.0, {better < 5 ? 1.0 : 0.0}};
  }

  void Merge(const Contribution& c) override {
    top1_.Add(c.score);
    top5_.Add(c.values[0]);
  }

  MetricResult Finish() override {
    Require(top1_.n() > 0, "classify: there are no samples");
    return {
        name(), top1_.mean(), true, top1_.standard_error(), top1_.n(), {{"top5", top5_.mean()}}};
  }

 private:
  size_t output_;
  RunningMean top1_, top5_;
};

}  // namespace

std::unique_ptr<Metric> MakeClassification(const MetricOptions& options) {
  return std::make_unique<Classification>(options);
}

}  // namespace mezzo
