// The user's own measure: `sh -c 'COMMAND FOLDER'` is run on a folder with one .npz a sample,
// 000000.npz and so on by the sample's index, each with the outputs by name and, if known, `label`
// (a number or a target). samples.csv in the folder lists index,name,label (the label if it is a
// text or a number).
//
// The first line of its output is a number, or a number and a name in either order: "0.873", "mAP
// 0.873". If it fails, or says anything else, that is a UsageError with the end of what it wrote to
// standard error.
#pragma once

#include "mezzo/evaluate/metric.h"

namespace mezzo {

// Needs options.command and options.output_names.
std::unique_ptr<Metric> MakeCommandMetric(const MetricOptions& options);

}  // namespace mezzo
