// From a histogram to the range that codes should cover.
#pragma once

#include <string>
#include <vector>

#include "mezzo/calibrate/histogram.h"

namespace mezzo {

struct Range {
  float lo = 0, hi = 0;  // lo <= 0 <= hi
  bool operator==(const Range&) const = default;
};

// A rule by name: "max", "mse", "entropy", or "percentile:P" with 50 < P <= 100.
// Throws UsageError for any other name.
//
// max         everything seen
// mse         the range that minimizes the expected squared error of `levels` evenly spaced codes,
// the
//             values of a bin taken as evenly spread over it
// entropy     |x| clipped at the threshold with the least KL divergence between the histogram and
// its version with
//             levels / 2 steps a side: Migacz, "8-bit inference with TensorRT", GTC 2017
// percentile  |x| clipped at its P-th percentile: Wu et al. 2020, https://arxiv.org/abs/2004.09602
//
// `symmetric` gives lo = -hi. Otherwise each side ends where its values do, or at the threshold if
// that is nearer. `levels` is the number of codes, 255 or 256 for 8 bits. A histogram without
// non-zero values gives {0, 0}.
Range Calibrate(const Histogram& histogram, const std::string& rule, bool symmetric, int levels);

// The rules of the automatic workflow.
const std::vector<std::string>& AllCalibrators();

// Throws UsageError unless Calibrate knows the rule.
void CheckCalibrator(const std::string& rule);

// The expected squared error of coding the histogram's values with `levels` codes over the range.
double ExpectedSquaredError(const Histogram& histogram, Range range, int levels);

}  // namespace mezzo
