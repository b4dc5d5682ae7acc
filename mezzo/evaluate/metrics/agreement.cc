#include "mezzo/evaluate/metrics/agreement.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mezzo {
namespace {

constexpr double kEqual = 200;

double Decibels(double signal, double noise) {
  return noise > 0 ? std::clamp(10 * std::log10(signal / noise), -kEqual, kEqual) : kEqual;
}

struct Rows {
  int64_t outer, classes, inner;  // (outer, classes, inner)
};

Rows RowsOf(const Shape& shape) {
  if (shape.empty()) return {1, 1, 1};
  const size_t axis = shape.size() > 3 ? 1 : shape.size() - 1;
  Rows r{1, shape[axis], 1};
  for (size_t a = 0; a < shape.size(); ++a)
    if (a != axis) (a < axis ? r.outer : r.inner) *= shape[a];
  return r;
}

bool IsDistribution(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) {
    if (v < 0) return false;
    sum += v;
  }
  return std::abs(sum - 1) < 1e-3;
}

// Log-probabilities of a row of probabilities or logits.
void ToLog(std::vector<double>& x, bool probabilities) {
  constexpr double kFloor = 1e-12;
  if (probabilities) {
    for (double& v : x) v = std::log(std::max(v, kFloor));
    return;
  }
  const double top = *std::ranges::max_element(x);
  double sum = 0;
  for (const double v : x) sum += std::exp(v - top);
  for (double& v : x) v -= top + std::log(sum);
}

class Agreement : public Metric {
 public:
  Agreement(const MetricOptions& o, AgreementValue value) : output_(o.output), value_(value) {}
  std::string name() const override {
    return value_ == AgreementValue::kTop1   ? "top1_agreement"
           : value_ == AgreementValue::kSqnr ? "sqnr_db"
                                             : "kl";
  }
  bool higher_is_better() const override { return value_ != AgreementValue::kKl; }
  bool needs_labels() const override { return false; }
  bool needs_reference() const override { return true; }

  // values: share of equal rows, mean KL, sums of squares of reference and difference.
  Contribution Measure(const Sample& sample, const Outputs& outputs,
                       const Outputs* reference) const override {
    Require(reference != nullptr, name(), ": needs the float network's outputs");
    const Tensor got = OutputOf(sample, outputs, output_),
                 want = OutputOf(sample, *reference, output_);
    Require(got.shape() == want.shape() && got.numel() > 0, name(), ": sample '", sample.name,
            "': the output is ", ToString(got.shape()), ", the float network's ",
            ToString(want.shape()));
    const std::span<const float> x = std::as_const(got).span<float>(),
                                 y = std::as_const(want).span<float>();
    double signal = 0, noise = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      signal += double{y[i]} * y[i];
      noise += (double{x[i]} - y[i]) * (double{x[i]} - y[i]);
    }
    Require(!std::isnan(signal + noise), name(), ": sample '", sample.name,
            "': an output holds NaN");
    const auto [same, kl] = CompareRows(x, y, RowsOf(got.shape()));
    const double score = value_ == AgreementValue::kTop1   ? same
                         : value_ == AgreementValue::kSqnr ? Decibels(signal, noise)
                                                           : -kl;
    return {score, {same, kl, signal, noise}};
  }

  void Merge(const Contribution& c) override {
    same_.Add(c.values[0]);
    kl_.Add(c.values[1]);
    signal_ += c.values[2];
    noise_ += c.values[3];
    decibels_.Add(Decibels(c.values[2], c.values[3]));
  }

  MetricResult Finish() override {
    Require(same_.n() > 0, name(), ": there are no samples");
    const double sqnr = Decibels(signal_, noise_);
    MetricResult r{name(),
                   same_.mean(),
                   higher_is_better(),
                   same_.standard_error(),
                   same_.n(),
                   {{"top1_agreement", same_.mean()}, {"sqnr_db", sqnr}, {"kl", kl_.mean()}}};
    if (value_ == AgreementValue::kSqnr)
      r.value = sqnr, r.standard_error = decibels_.standard_error();
    if (value_ == AgreementValue::kKl)
      r.value = kl_.mean(), r.standard_error = kl_.standard_error();
    return r;
  }

 private:
  static std::pair<double, double> CompareRows(std::span<const float> x, std::span<const float> y,
                                               const Rows& rows) {
    std::vector<double> a(static_cast<size_t>(rows.classes)), b(a.size());
    double same = 0, kl = 0;
    for (int64_t r = 0; r < rows.outer * rows.inner; ++r) {
      const int64_t first = r / rows.inner * rows.classes * rows.inner + r % rows.inner;
      for (int64_t c = 0; c < rows.classes; ++c) {
        a[c] = x[first + c * rows.inner];
        b[c] = y[first + c * rows.inner];
      }
      same += std::ranges::max_element(a) - a.begin() == std::ranges::max_element(b) - b.begin();
      // The reference decides what the outputs are: quantized probabilities may sum to something
      // else.
      const bool probabilities = rows.classes > 1 && IsDistribution(b);
      ToLog(a, probabilities);
      ToLog(b, probabilities);
      for (size_t c = 0; c < a.size(); ++c) kl += std::exp(b[c]) * (b[c] - a[c]);
    }
    const auto n = static_cast<double>(rows.outer * rows.inner);
    return {same / n, std::max(0.0, kl / n)};
  }

  size_t output_;
  AgreementValue value_;
  RunningMean same_, kl_, decibels_;
  double signal_ = 0, noise_ = 0;
};

}  // namespace

std::unique_ptr<Metric> MakeAgreement(const MetricOptions& options, AgreementValue value) {
  return std::make_unique<Agreement>(options, value);
}

}  // namespace mezzo
