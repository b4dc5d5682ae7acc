// What `mezzo plan` found, for a reader: plain data, its JSON, and one self-contained HTML page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mezzo/report/report.h"

namespace mezzo {

// Throughout, NaN means "not measured": null in the JSON, a dash on the page.

// What coding a value would add to the loss, predicted; by format, which only "8 bits" runs in.
struct PlanActivation {
  std::string value;
  std::vector<double> losses;  // of PlanReport::activation_formats
};

// A hard limit: what the plan was to cost, what the solver counted, what the finished model costs.
struct PlanBudget {
  std::string name;  // "size", "bops", "latency"
  std::string unit;  // "B", "BOPs", "ns"
  double limit = 0, planned = 0, real = 0;
};

// One precision that a layer could have.
struct PlanOption {
  std::string format;  // "int8", "nf4/32", "float32"
  double bits = 0;     // of a weight as stored, scales included
  double bytes = 0;    // of the file
  double loss = 0;     // what it adds to the output loss, predicted
  double nanoseconds = 0;
};

struct PlanLayer {
  std::string node, op;
  double weights = 0, macs = 0;  // numbers; multiply-adds of one run
  std::vector<PlanOption> options;
  size_t chosen = 0;      // of the options
  std::string why_fixed;  // if it had no choice
};

// A finished model: what it weighs and what it gives.
struct PlanPoint {
  double bytes = 0, average_bits = 0;  // of the file; of the layers' weights
  double predicted_loss = 0;           // the sum of the layers'
  double output_loss = 0;              // measured on held-out samples: KL, or relative error
  double metric = 0;                   // likewise
};

// One way to choose, at several budgets: "mezzo", "greedy", "uniform", "hawq", ...
struct PlanSeries {
  std::string name;
  std::vector<PlanPoint> points;  // by rising bytes
};

// How well a ranking foretells what one layer alone does to the output loss.
struct PlanRanking {
  std::string name;
  double correlation = 0;         // Spearman, over all layers and candidates of 4 bits and below
  std::vector<double> by_option;  // of each option name in PlanReport::validated
};

struct PlanReport {
  std::string model, plan;        // file names
  std::string metric, loss_name;  // "classify"; "KL divergence", "relative error"
  bool higher_is_better = true;
  double float_metric = 0, float_bytes = 0;
  PlanPoint chosen;
  std::vector<PlanBudget> budgets;
  std::vector<PlanLayer> layers;  // in the order of the graph
  // Of the whole range of sizes, predicted: (bytes, loss) of each point of the convex hull.
  std::vector<PlanPoint> front;
  std::vector<PlanSeries> series;
  std::vector<std::string> validated;  // option names
  std::vector<PlanRanking> rankings;
  std::vector<std::string> activation_formats;
  std::vector<PlanActivation> activations;

  bool proven = false;     // no choice of these options is better
  double gap = 0;          // else at most this share of the loss
  double greedy_loss = 0;  // predicted, of the published greedy at the same budget
  double lower_bound = 0;  // predicted loss that no choice undercuts
  double solver_ms = 0;
  std::string certificate;  // one line: the multipliers and what they prove

  int64_t calibration_samples = 0, sensitivity_samples = 0, evaluation_samples = 0;
  std::vector<std::string> notes;
  std::vector<ReportStage> stages;
  double peak_memory_bytes = 0;
  size_t threads = 0;
  std::string cpu;
};

std::string ToJson(const PlanReport& report);
std::string ToHtml(const PlanReport& report);

}  // namespace mezzo
