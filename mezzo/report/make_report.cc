// Joins the Plan, the histograms and what was measured into one list per table of the page.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <set>

#include "mezzo/algorithm/sites.h"
#include "mezzo/calibrate/calibrators.h"
#include "mezzo/report/report.h"

namespace mezzo {
namespace {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double Total(const std::map<std::string, int64_t>& macs) {
  double sum = 0;
  for (const auto& [name, n] : macs) sum += static_cast<double>(n);
  return sum;
}

double Share(const std::map<std::string, int64_t>& macs, double total, const std::string& node) {
  const auto it = macs.find(node);
  return it == macs.end() || total == 0 ? 0 : static_cast<double>(it->second) / total;
}

// Who computes a value, and through which operators it came. A Conv whose Relu is part of it has no
// value of its own to compare: the Relu's stands for both.
struct Maker {
  const Node* node = nullptr;
  std::string ops;
};

Maker FindMaker(const Graph& graph, const Uses& uses, const Plan& plan,
                const std::set<std::string>& compared, std::string value) {
  Maker nearest;
  std::string ops;
  for (auto at = uses.producer.find(value); at != uses.producer.end();
       at = uses.producer.find(value)) {
    const Node& node = graph.nodes[at->second];
    ops = ops.empty() ? node.op_type : node.op_type + ", " + ops;
    if (plan.nodes.contains(node.name)) return {&node, ops};
    if (!nearest.node) nearest = {&node, ops};
    if (!node.HasInput(0) || compared.contains(node.inputs[0])) break;
    value = node.inputs[0];
  }
  return nearest;
}

std::vector<ReportLayer> Layers(const Int8Result& r, const LayerComparison& comparison) {
  const Uses uses(r.prepared.graph);
  const double total = Total(r.macs);
  std::set<std::string> compared;
  for (const LayerDifference& d : comparison.layers) compared.insert(d.value);
  std::vector<ReportLayer> layers;
  for (const LayerDifference& d : comparison.layers) {
    ReportLayer layer{d.value, "", "", "", 0, d.sqnr_db, d.cosine, d.max_error};
    const Maker maker = FindMaker(r.prepared.graph, uses, r.plan, compared, d.value);
    if (maker.node) {
      layer.node = maker.node->name;
      layer.op = maker.ops;
      layer.macs = Share(r.macs, total, maker.node->name);
      const auto plan = r.plan.nodes.find(maker.node->name);
      if (plan != r.plan.nodes.end()) layer.precision = plan->second.quantized ? "int8" : "float";
    }
    layers.push_back(layer);
  }
  return layers;
}

// The share of all values that lie beyond the range, up to a bin's width: values in a bin count as
// its middle.
double ClippedShare(const Histogram& h, double lo, double hi) {
  uint64_t clipped = 0;
  const auto bins = h.bins();
  for (size_t i = 0; i < bins.size(); ++i) {
    const double middle = (static_cast<double>(i) + 0.5 - Histogram::kBinsPerSide) * h.bin_width();
    if (middle < lo || middle > hi) clipped += bins[i];
  }
  return h.count() ? static_cast<double>(clipped) / static_cast<double>(h.count()) : 0;
}

// Decibels between the values and the error that coding them makes; NaN without non-zero values.
double GridSqnr(const Histogram& h, const ActivationPlan& a, IntFormat format) {
  double power = 0;
  const auto bins = h.bins();
  for (size_t i = 0; i < bins.size(); ++i) {
    const double middle = (static_cast<double>(i) + 0.5 - Histogram::kBinsPerSide) * h.bin_width();
    power += middle * middle * static_cast<double>(bins[i]);
  }
  if (power == 0) return kUnknown;
  const int levels = format.qmax() - format.qmin() + (a.symmetric ? 0 : 1);
  const double noise = ExpectedSquaredError(h, {a.lo, a.hi}, levels);
  return 10 * std::log10(power / static_cast<double>(h.count()) / noise);
}

ReportActivation Describe(const std::string& value, const ActivationPlan& a, const Histogram& h,
                          IntFormat format) {
  ReportActivation out;
  out.value = value;
  out.sqnr_db = kUnknown;
  out.grid_sqnr_db = GridSqnr(h, a, format);
  out.lo = a.lo, out.hi = a.hi;
  out.scale = a.qparams.scale;
  out.zero_point = a.qparams.zero_point;
  out.calibration = a.calibration;
  out.symmetric = a.symmetric;
  out.min = h.min(), out.max = h.max();
  out.clipped = ClippedShare(h, a.lo, a.hi);
  if (h.count()) out.zeros = static_cast<double>(h.zeros()) / static_cast<double>(h.count());
  out.histogram = Shrink(h, Int8Report::kHistogramBins);
  return out;
}

// All that have a grid. Those that no quantized node reads or makes are marked, and come last.
std::vector<ReportActivation> Activations(const Int8Result& r, const LayerComparison& comparison) {
  std::map<std::string, double> sqnr;
  for (const LayerDifference& d : comparison.layers) sqnr[d.value] = d.sqnr_db;
  std::set<std::string> quantized, used;
  for (const auto& [name, node] : r.plan.nodes)
    if (node.quantized) quantized.insert(name);
  for (const auto& [value, root] : FindSites(r.prepared.graph, quantized).root) used.insert(root);
  std::vector<ReportActivation> list;
  for (const auto& [value, plan] : r.plan.activations) {
    const auto h = r.histograms.find(value);
    list.push_back(Describe(value, plan, h == r.histograms.end() ? Histogram() : h->second,
                            r.plan.activation_format));
    list.back().used = used.contains(value);
    if (sqnr.contains(value)) list.back().sqnr_db = sqnr[value];
  }
  const auto key = [](const ReportActivation& a) {
    return std::pair(!a.used, std::isnan(a.sqnr_db) ? INFINITY : a.sqnr_db);
  };
  std::stable_sort(list.begin(), list.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  return list;
}

std::vector<ReportFloatNode> Floats(const Int8Result& r) {
  const double total = Total(r.macs);
  std::map<std::string, std::string> op;
  for (const Node& node : r.prepared.graph.nodes) op[node.name] = node.op_type;
  std::vector<ReportFloatNode> list;
  for (const auto& [name, node] : r.plan.nodes)
    if (!node.quantized) list.push_back({name, op[name], node.reason, Share(r.macs, total, name)});
  std::stable_sort(list.begin(), list.end(),
                   [](const auto& a, const auto& b) { return a.macs > b.macs; });
  return list;
}

// Those whose score fell most; where no score tells them apart, those with the lowest SQNR.
std::vector<ReportSample> Worst(const ReportMeasurements& m) {
  std::map<std::string, ReportSample> by_name;  // layers are compared on fewer samples
  const auto at = [&](const std::string& name) -> ReportSample& {
    return by_name.try_emplace(name, ReportSample{name, kUnknown, kUnknown, kUnknown})
        .first->second;
  };
  for (const SampleScore& s : m.float_evaluation.scores) at(s.name).float_score = s.score;
  for (const SampleScore& s : m.int8_evaluation.scores) at(s.name).int8_score = s.score;
  for (const SampleScore& s : m.layers.samples) at(s.name).sqnr_db = s.score;
  std::vector<ReportSample> list;
  for (const auto& [name, sample] : by_name) list.push_back(sample);
  const auto key = [](const ReportSample& s) {
    const double change = s.int8_score - s.float_score;
    return std::pair(std::isnan(change) ? 0 : change, std::isnan(s.sqnr_db) ? INFINITY : s.sqnr_db);
  };
  std::stable_sort(list.begin(), list.end(),
                   [&](const auto& a, const auto& b) { return key(a) < key(b); });
  list.resize(std::min(list.size(), Int8Report::kWorstSamples));
  return list;
}

}  // namespace

ReportHistogram Shrink(const Histogram& h, size_t bins) {
  const auto all = h.bins();
  const auto filled = [](uint64_t n) { return n > 0; };
  const auto first = std::find_if(all.begin(), all.end(), filled);
  if (first == all.end() || bins == 0) return {};
  const auto last = std::find_if(all.rbegin(), all.rend(), filled).base();
  const size_t n = static_cast<size_t>(last - first), group = (n + bins - 1) / bins;
  ReportHistogram out;
  out.start = static_cast<double>(first - all.begin() - Histogram::kBinsPerSide) * h.bin_width();
  out.width = static_cast<double>(group) * h.bin_width();
  out.counts.assign((n + group - 1) / group, 0);
  for (size_t i = 0; i < n; ++i) out.counts[i / group] += first[static_cast<int64_t>(i)];
  return out;
}

Int8Report MakeReport(const Int8Result& result, const ReportMeasurements& m) {
  const Plan& plan = result.plan;
  Int8Report r;
  r.model = std::filesystem::path(m.model).filename().string();
  r.output = std::filesystem::path(m.output).filename().string();
  r.metric = plan.metric_name;
  r.higher_is_better = m.int8_evaluation.result.higher_is_better;
  r.float_metric = plan.float_metric;
  r.int8_metric = result.metric;
  r.standard_error = m.int8_evaluation.result.standard_error;
  r.loss = result.loss;
  r.tolerance = plan.tolerance;
  r.within_tolerance = result.within_tolerance;
  r.calibration_samples = plan.calibration_samples;
  r.evaluation_samples = plan.evaluation_samples;
  r.float_bytes = m.float_bytes, r.int8_bytes = m.int8_bytes;
  r.float_ms = m.float_ms, r.int8_ms = m.int8_ms;
  r.threads = m.threads;
  r.cpu = m.cpu;
  r.total_macs = Total(result.macs);
  for (const auto& [name, node] : plan.nodes) {
    if (!node.quantized) continue;
    ++r.quantized_nodes;
    r.int8_macs += Share(result.macs, r.total_macs, name);
  }
  r.ladder = plan.ladder;
  r.layers = Layers(result, m.layers);
  r.activations = Activations(result, m.layers);
  r.floats = Floats(result);
  r.notes = plan.notes;
  r.worst = Worst(m);
  r.stages = m.stages;
  r.peak_memory_bytes = m.peak_memory_bytes;
  return r;
}

}  // namespace mezzo
