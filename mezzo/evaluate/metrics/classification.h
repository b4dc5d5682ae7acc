// Top-1 and top-5 accuracy. The output holds one score a class; the label is a class index.
#pragma once

#include "mezzo/evaluate/metric.h"

namespace mezzo {

// Value: the share of samples whose label has the largest score; details: top5. Among equal scores
// the smaller index wins. A NaN among the scores is an error.
std::unique_ptr<Metric> MakeClassification(const MetricOptions& options);

}  // namespace mezzo
