#include "mezzo/evaluate/metrics/psnr.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace mezzo {
namespace {

constexpr double kEqual = 100;

class Psnr : public Metric {
 public:
  explicit Psnr(const MetricOptions& o) : o_(o) {
    Require(o.peak > 0 && o.border >= 0, "psnr: needs a peak above 0 and a border from 0, got ",
            o.peak, " and ", o.border);
  }
  std::string name() const override { return "psnr"; }

  Contribution Measure(const Sample& sample, const Outputs& outputs,
                       const Outputs*) const override {
    const Tensor got = OutputOf(sample, outputs, o_.output);
    const Tensor want = OutputOf(sample, {LabelAs<Tensor>(sample, "psnr", "a target picture")}, 0);
    Require(got.shape() == want.shape(), "psnr: sample '", sample.name, "': the output is ",
            ToString(got.shape()), ", the target ", ToString(want.shape()));
    const size_t rank = got.rank();
    const int64_t w = rank > 0 ? got.dim(rank - 1) : 1, h = rank > 1 ? got.dim(rank - 2) : 1,
                  b = o_.border;
    Require(w > 2 * b && h > 2 * b && got.numel() > 0, "psnr: sample '", sample.name,
            "': nothing is left of ", ToString(got.shape()), " inside a border of ", b);
    double squares = 0;
    size_t n = 0;
    for (int64_t row = 0; row < got.numel() / w; ++row) {
      if (row % h < b || row % h >= h - b) continue;
      for (int64_t i = row * w + b; i < (row + 1) * w - b; ++i, ++n) {
        const double d = Value(std::as_const(got).data<float>()[i]) -
                         Value(std::as_const(want).data<float>()[i]);
        squares += d * d;
      }
    }
    Require(!std::isnan(squares), "psnr: sample '", sample.name,
            "': the output or the target holds NaN");
    const double peak = o_.round_to_8_bits ? 255 : o_.peak;
    const double mean = squares / static_cast<double>(n);
    return {mean > 0 ? std::min(kEqual, 10 * std::log10(peak * peak / mean)) : kEqual, {}};
  }

  void Merge(const Contribution& c) override { mean_.Add(c.score); }

  MetricResult Finish() override {
    Require(mean_.n() > 0, "psnr: there are no samples");
    return {name(), mean_.mean(), true, mean_.standard_error(), mean_.n(), {}};
  }

 private:
  double Value(double x) const {
    return o_.round_to_8_bits ? std::nearbyint(255 * std::clamp(x / o_.peak, 0.0, 1.0)) : x;
  }

  MetricOptions o_;
  RunningMean mean_;
};

}  // namespace

std::unique_ptr<Metric> MakePsnr(const MetricOptions& options) {
  return std::make_unique<Psnr>(options);
}

}  // namespace mezzo
