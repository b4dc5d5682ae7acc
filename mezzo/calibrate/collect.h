// One streaming pass over calibration samples: a histogram of every value asked for.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "mezzo/base/threads.h"
#include "mezzo/calibrate/histogram.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

// Inputs of sample i; called from several threads.
using SampleFn = std::function<TensorMap(size_t)>;

// Runs samples 0..count-1, each thread one at a time, and keeps nothing of them but the counts, so
// the result does not depend on the order or on the number of threads. `values` are graph inputs or
// float32 results of nodes. `progress` is told how many samples are done.
//
// Throws UsageError naming the value and the sample if one holds NaN or infinity, or is not
// float32.
std::map<std::string, Histogram> CollectHistograms(
    const Graph& graph, const std::set<std::string>& values, const SampleFn& sample, size_t count,
    const Threads& threads, const std::function<void(size_t)>& progress = {});

}  // namespace mezzo
