#include "mezzo/evaluate/metric.h"

#include <cmath>

#include "mezzo/evaluate/metrics/agreement.h"
#include "mezzo/evaluate/metrics/classification.h"
#include "mezzo/evaluate/metrics/command.h"
#include "mezzo/evaluate/metrics/ctc.h"
#include "mezzo/evaluate/metrics/psnr.h"
#include "mezzo/evaluate/metrics/similarity.h"

namespace mezzo {
namespace {

struct Entry {
  const char* name;
  std::unique_ptr<Metric> (*make)(const MetricOptions&);
};
constexpr Entry kMetrics[] = {
    {"classify", MakeClassification},
    {"ctc", MakeCtc},
    {"similarity", MakeSimilarity},
    {"psnr", MakePsnr},
    {"agreement", [](const MetricOptions& o) { return MakeAgreement(o, AgreementValue::kTop1); }},
    {"sqnr", [](const MetricOptions& o) { return MakeAgreement(o, AgreementValue::kSqnr); }},
    {"kl", [](const MetricOptions& o) { return MakeAgreement(o, AgreementValue::kKl); }},
    {"command", MakeCommandMetric},
};

}  // namespace

std::vector<std::string> MetricNames() {
  std::vector<std::string> names;
  for (const Entry& e : kMetrics) names.emplace_back(e.name);
  return names;
}

std::unique_ptr<Metric> MakeMetric(const std::string& name, const MetricOptions& options) {
  std::string known;
  for (const Entry& e : kMetrics) {
    if (name == e.name) return e.make(options);
    known += (known.empty() ? "" : ", ") + std::string(e.name);
  }
  throw UsageError(Cat("unknown metric '", name, "', known are ", known));
}

double RunningMean::standard_error() const {
  if (n_ < 2) return std::numeric_limits<double>::quiet_NaN();
  const auto n = static_cast<double>(n_);
  return std::sqrt(squares_ / (n - 1) / n);
}

Tensor OutputOf(const Sample& sample, const Outputs& outputs, size_t output) {
  Require(output < outputs.size() && outputs[output].defined(), "sample '", sample.name,
          "': there is no output ", output, ", the network has ", outputs.size());
  const Tensor t = outputs[output].ToLayout(Layout::kPlain);
  return t.dtype() == DType::kFloat32 ? t : Cast(t, DType::kFloat32);
}

}  // namespace mezzo
