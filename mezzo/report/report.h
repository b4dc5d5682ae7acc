// What `mezzo quantize` did, for a reader: plain data, its JSON, and one self-contained HTML page
// made from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mezzo/algorithm/int8_workflow.h"
#include "mezzo/evaluate/evaluator.h"
#include "mezzo/evaluate/layers.h"

namespace mezzo {

// Throughout, NaN means "not measured": null in the JSON, a dash on the page.

struct ReportLayer {
  std::string value, node, op;  // node and op are empty for a graph input
  std::string precision;        // "int8", "float", or "" for nodes that compute with no weights
  double macs = 0;              // share of the model's multiply-adds
  double sqnr_db = 0, cosine = 0, max_error = 0;
};

// Counts of values over [start, start + counts.size() * width); exact zeros are not in it.
struct ReportHistogram {
  double start = 0, width = 0;
  std::vector<uint64_t> counts;
};

struct ReportActivation {
  std::string value;
  bool used = false;   // false: all that read or make it stays float, so the grid is not applied
  double sqnr_db = 0;  // of the value inside the quantized network
  double grid_sqnr_db = 0;  // of coding it alone, from the histogram
  double lo = 0, hi = 0, scale = 0;
  int zero_point = 0;
  std::string calibration;
  bool symmetric = false;
  double min = 0, max = 0, clipped = 0, zeros = 0;  // clipped, zeros: shares of all values
  ReportHistogram histogram;
};

struct ReportFloatNode {
  std::string node, op, reason;
  double macs = 0;  // share
};

struct ReportSample {
  std::string name;
  double float_score = 0, int8_score = 0, sqnr_db = 0;
};

struct ReportStage {
  std::string name;
  double seconds = 0;
};

struct Int8Report {
  std::string model, output;  // file names
  std::string metric;
  bool higher_is_better = true;
  double float_metric = 0, int8_metric = 0;
  double standard_error = 0;  // of int8_metric
  double loss = 0, tolerance = 0;
  bool within_tolerance = false;
  int64_t calibration_samples = 0, evaluation_samples = 0;
  double float_bytes = 0, int8_bytes = 0;
  double float_ms = 0, int8_ms = 0;  // medians
  size_t threads = 0;
  std::string cpu;
  double total_macs = 0, int8_macs = 0;  // of one run; share of them in integers
  int64_t quantized_nodes = 0;
  std::vector<LadderStep> ladder;
  std::vector<ReportLayer> layers;            // in the order of the graph
  std::vector<ReportActivation> activations;  // used ones first, by rising SQNR
  std::vector<ReportFloatNode> floats;        // by falling share of multiply-adds
  std::vector<std::string> notes;
  std::vector<ReportSample> worst;  // at most kWorstSamples, the worst first
  std::vector<ReportStage> stages;
  double peak_memory_bytes = 0;

  static constexpr size_t kWorstSamples = 20;
  static constexpr size_t kHistogramBins = 128;
};

// What the command measured around the workflow. Leave a number NaN, a list empty, if it was not.
struct ReportMeasurements {
  std::string model, output;  // paths; the report keeps the file names
  Evaluation float_evaluation, int8_evaluation;
  LayerComparison layers;  // of Int8Result::prepared with ::quantized
  double float_bytes = 0, int8_bytes = 0;
  double float_ms = 0, int8_ms = 0;
  size_t threads = 1;
  std::string cpu;
  std::vector<ReportStage> stages;
  double peak_memory_bytes = 0;
};

// `result.plan` must have its metric, tolerance and sample counts filled in.
Int8Report MakeReport(const Int8Result& result, const ReportMeasurements& measured);

// Counts between the first and the last bin that hold something, neighbours summed until at most
// `bins` are left.
ReportHistogram Shrink(const Histogram& histogram, size_t bins);

// Bytes that are not UTF-8 become U+FFFD, so this never fails.
std::string ToJson(const Int8Report& report);
// The same without what is said of each layer, activation and sample; indented.
std::string ToSummaryJson(const Int8Report& report);

// Needs nothing but itself: no network, and no script for the tables. Names out of the model are
// inert text in it.
std::string ToHtml(const Int8Report& report);

}  // namespace mezzo
