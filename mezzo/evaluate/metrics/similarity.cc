#include "mezzo/evaluate/metrics/similarity.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace mezzo {
namespace {

double Cosine(std::span<const double> a, std::span<const double> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : 0;
}

// Ranks from 1, the mean of them for ties.
std::vector<double> Ranks(std::span<const double> x) {
  std::vector<size_t> order(x.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t i, size_t j) { return x[i] < x[j]; });
  std::vector<double> ranks(x.size());
  for (size_t i = 0, j = 0; i < order.size(); i = j) {
    while (j < order.size() && x[order[j]] == x[order[i]]) ++j;
    for (size_t k = i; k < j; ++k) ranks[order[k]] = static_cast<double>(i + 1 + j) / 2;
  }
  return ranks;
}

// One weight a token; all 1 without a mask.
std::vector<double> TokenWeights(const Sample& sample, int64_t tokens) {
  const auto it = sample.inputs.find("attention_mask");
  if (it == sample.inputs.end()) return std::vector<double>(static_cast<size_t>(tokens), 1.0);
  Require(it->second.numel() == tokens, "similarity: sample '", sample.name,
          "': attention_mask is ", ToString(it->second.shape()), ", but there are ", tokens,
          " tokens");
  const Tensor mask = Cast(it->second.ToLayout(Layout::kPlain), DType::kFloat64);
  return {mask.data<double>(), mask.data<double>() + tokens};
}

class Similarity : public Metric {
 public:
  explicit Similarity(const MetricOptions& o) : output_(o.output) {}
  std::string name() const override { return "spearman"; }

  // values: the pair's score, then the embedding.
  Contribution Measure(const Sample& sample, const Outputs& outputs,
                       const Outputs*) const override {
    const Tensor t = OutputOf(sample, outputs, output_);
    Require((t.rank() == 2 || t.rank() == 3) && t.dim(0) == 1, "similarity: sample '", sample.name,
            "': the output is ", ToString(t.shape()), ", needs [1,width] or [1,tokens,width]");
    const int64_t tokens = t.rank() == 3 ? t.dim(1) : 1, width = t.shape().back();
    const std::vector<double> weights =
        t.rank() == 3 ? TokenWeights(sample, tokens) : std::vector<double>{1.0};
    Contribution c;
    c.values.assign(static_cast<size_t>(width) + 1, 0.0);
    c.values[0] = LabelAs<double>(sample, "similarity", "a pair's score");
    const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
    Require(total > 0, "similarity: sample '", sample.name, "' has no tokens");
    for (int64_t i = 0; i < tokens; ++i)
      for (int64_t j = 0; j < width; ++j)
        c.values[j + 1] += weights[i] / total * std::as_const(t).data<float>()[i * width + j];
    for (const double v : c.values)
      Require(!std::isnan(v), "similarity: sample '", sample.name, "': the output holds NaN");
    return c;
  }

  void Merge(const Contribution& c) override {
    if (first_.empty()) {
      first_ = c.values;
      return;
    }
    Require(first_.size() == c.values.size() && first_[0] == c.values[0],
            "similarity: the samples do not come in pairs with one score each");
    cosines_.push_back(Cosine(std::span(first_).subspan(1), std::span(c.values).subspan(1)));
    scores_.push_back(c.values[0]);
    first_.clear();
  }

  MetricResult Finish() override {
    Require(first_.empty(), "similarity: the last sample lacks its partner");
    Require(cosines_.size() > 1, "similarity: needs two pairs at least, has ", cosines_.size());
    const double r = Spearman(cosines_, scores_), n = static_cast<double>(cosines_.size());
    const double error = n > 3 ? 1.03 * (1 - r * r) / std::sqrt(n - 3) : std::nan("");
    return {name(), r, true, error, cosines_.size(), {}};
  }

 private:
  size_t output_;
  std::vector<double> first_, cosines_, scores_;
};

}  // namespace

double Spearman(std::span<const double> a, std::span<const double> b) {
  Require(a.size() == b.size(), "spearman: ", a.size(), " values against ", b.size());
  const std::vector<double> x = Ranks(a), y = Ranks(b);
  const double mean = (static_cast<double>(a.size()) + 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mean) * (y[i] - mean);
    xx += (x[i] - mean) * (x[i] - mean);
    yy += (y[i] - mean) * (y[i] - mean);
  }
  return xy / std::sqrt(xx * yy);
}

std::unique_ptr<Metric> MakeSimilarity(const MetricOptions& options) {
  return std::make_unique<Similarity>(options);
}

}  // namespace mezzo
