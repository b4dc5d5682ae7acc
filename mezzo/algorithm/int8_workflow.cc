#include "mezzo/algorithm/int8_workflow.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <optional>
#include <set>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/bias_correction.h"
#include "mezzo/algorithm/live_range.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/calibrate/calibrators.h"
#include "mezzo/runtime/lower.h"
#include "mezzo/runtime/macs.h"

namespace mezzo {
namespace {

// A rule and a kind of grid.
struct Choice {
  std::string calibration;
  bool symmetric;
  std::string Name() const { return calibration + (symmetric ? " symmetric" : ""); }
};

// Values that are never negative get all codes above zero in any case: half of a symmetric grid
// would be idle, and engines fuse the Relu before it only where it starts at zero.
// `live`, if given, is all that the range needs to cover.
ActivationPlan MakeGrid(const Histogram& h, Choice choice, IntFormat f, const Range* live) {
  choice.symmetric &= h.min() < 0;
  ActivationPlan a;
  a.calibration = choice.calibration;
  a.symmetric = choice.symmetric;
  const int levels = f.qmax() - f.qmin() + (choice.symmetric ? 0 : 1);
  Range r = Calibrate(h, choice.calibration, choice.symmetric, levels);
  if (live && !choice.symmetric) r = {std::max(r.lo, live->lo), std::min(r.hi, live->hi)};
  a.lo = r.lo;
  a.hi = r.hi;
  if (choice.symmetric) {
    const int32_t middle = f.is_signed ? 0 : 1 << (f.bits - 1);
    a.qparams = {SymmetricQParams(IntFormat{f.bits, true, true}, r.hi).scale, middle};
  } else {
    a.qparams = AsymmetricQParams(f, r.lo, r.hi);
  }
  return a;
}

void CheckWeights(const Graph& graph) {
  for (const auto& [name, t] : graph.initializers) {
    if (t.dtype() != DType::kFloat32) continue;
    for (const float v : t.span<float>()) Require(!std::isnan(v), "weight ", name, " holds NaN");
  }
}

class Workflow {
 public:
  Workflow(const Model& model, const Int8Task& task, const Int8Options& options)
      : task_(task), options_(options) {
    result_.prepared = PrepareFloat(model);
    CheckWeights(result_.prepared.graph);
  }

  Int8Result Run() {
    PlanNodes();
    CollectStatistics();
    plan().float_metric = task_.metric(graph()).metric;
    Say(Cat("float: ", task_.metric_name, " ", plan().float_metric));
    ChooseCalibration();
    if (!Holds() && options_.refine) RefineRanges();
    HoldTolerance();
    plan().notes.clear();
    result_.quantized = ApplyPlan(result_.prepared, plan(), &plan().notes);
    return std::move(result_);
  }

 private:
  Plan& plan() { return result_.plan; }
  const Graph& graph() const { return result_.prepared.graph; }
  void Say(const std::string& line) const {
    if (options_.say) options_.say(line);
  }

  void PlanNodes() {
    std::map<std::string, std::string> why;
    const auto nodes = FindComputeNodes(graph(), &why);
    Require(!nodes.empty(), "the model has no Conv, Gemm or MatMul that can be quantized");
    for (const auto& [name, reason] : why) plan().nodes[name].reason = reason;
    for (const ComputeNode& c : nodes) {
      const Node& node = graph().nodes[c.index];
      NodePlan& p = plan().nodes[node.name];
      p.quantized = true;
      if (c.has_weight)
        p.weight_scales =
            WeightScales(node, *graph().Initializer(node.inputs[1]), options_.limit_pairs);
    }
    for (const std::string& name : options_.exclude) {
      const auto it = plan().nodes.find(name);
      Require(it != plan().nodes.end(), "--exclude: the model has no node ", name,
              " that could be quantized");
      it->second.quantized = false;
      it->second.reason = "excluded by the user";
    }
    plan().activation_format = options_.activations;
    plan().limit_pairs = options_.limit_pairs;
    plan().metric_name = task_.metric_name;
    plan().tolerance = options_.tolerance;
    plan().calibration_samples = static_cast<int64_t>(task_.calibration_count);
  }

  std::set<std::string> QuantizedNodes() {
    std::set<std::string> names;
    for (const auto& [name, node] : plan().nodes)
      if (node.quantized) names.insert(name);
    return names;
  }

  void CollectStatistics() {
    std::set<std::string> roots;
    for (const auto& [value, root] : FindSites(graph(), QuantizedNodes()).root) roots.insert(root);
    result_.histograms =
        CollectHistograms(graph(), roots, task_.calibration, task_.calibration_count,
                          options_.threads, [&](size_t done) {
                            if (options_.progress)
                              options_.progress("calibrating", done, task_.calibration_count);
                          });
    live_ = LiveRanges(graph(), result_.histograms);
    result_.macs = CountMacs(graph(), Session(graph(), {options_.threads}), task_.calibration(0));
    tuning_.emplace(graph(), task_.distortion, task_.calibration,
                    std::min(options_.tuning_samples, task_.calibration_count),
                    options_.tuning_bytes, options_.threads);
  }

  ActivationPlan Grid(const std::string& name, const Histogram& h, const Choice& choice) {
    const auto live = live_.find(name);
    return MakeGrid(h, choice, plan().activation_format,
                    live == live_.end() ? nullptr : &live->second);
  }

  void SetGrids(const Choice& choice) {
    for (const auto& [name, h] : result_.histograms)
      plan().activations[name] = Grid(name, h, choice);
  }

  Graph Integers() { return LowerToIntegers(ApplyPlan(result_.prepared, plan()).graph, nullptr); }
  double Distort(size_t samples = SIZE_MAX) { return tuning_->Measure(Integers(), samples); }

  double Int8Macs() {
    double all = 0, integer = 0;
    for (const auto& [name, n] : result_.macs) {
      all += static_cast<double>(n);
      const auto it = plan().nodes.find(name);
      if (it != plan().nodes.end() && it->second.quantized) integer += static_cast<double>(n);
    }
    return all > 0 ? integer / all : 0;
  }

  void AddStep(const std::string& tried, double distortion, bool kept, bool measure_metric) {
    LadderStep step{tried, NAN, NAN, NAN, distortion, Int8Macs(), kept};
    std::ostringstream line;
    line << std::setprecision(4) << tried << ": distortion " << distortion;
    if (measure_metric) {
      const Measured m = task_.metric(Integers());
      step.metric = m.metric;
      step.regressions = m.regressions;
      step.loss = task_.loss(plan().float_metric, step.metric);
      line << ", " << task_.metric_name << " " << step.metric << std::fixed << std::setprecision(2)
           << " (loss " << 100 * step.loss << "%";
      if (!std::isnan(step.regressions)) line << ", " << 100 * step.regressions << "% regress";
      line << "), " << std::setprecision(1) << 100 * step.int8_macs << "% of MACs in int8";
    }
    plan().ladder.push_back(step);
    Say(line.str());
  }

  void ChooseCalibration() {
    std::vector<Choice> choices;
    const std::vector<std::string> rules = options_.calibration == "auto"
                                               ? AllCalibrators()
                                               : std::vector<std::string>{options_.calibration};
    for (const std::string& rule : rules)
      for (const bool symmetric : {false, true}) choices.push_back({rule, symmetric});
    const size_t first = plan().ladder.size();
    std::vector<std::pair<double, size_t>> order;
    for (size_t i = 0; i < choices.size(); ++i) {
      SetGrids(choices[i]);
      order.push_back({Distort(), i});
      AddStep(choices[i].Name(), order.back().first, false, false);
    }
    std::sort(order.begin(), order.end());
    for (size_t i = 0; i < std::min<size_t>(4, order.size()); ++i)
      rivals_.push_back(choices[order[i].second]);
    plan().ladder[first + order[0].second].kept = true;
    KeepBest(order[0].first);
    AddStep("all layers, " + plan().activations.begin()->second.calibration, distortion_, true,
            true);
  }

  // The best few rules, each with its biases corrected, against the best without.
  void KeepBest(double uncorrected) {
    SetGrids(rivals_[0]);
    distortion_ = uncorrected;
    Plan best = plan();
    for (const Choice& rival : rivals_) {
      if (!options_.correct_bias) break;
      SetGrids(rival);
      SetBiasShifts();
      const double d = Distort();
      AddStep(rival.Name() + ", biases corrected", d, d < distortion_, false);
      if (d >= distortion_) continue;
      distortion_ = d;
      best = plan();
    }
    best.ladder = plan().ladder;
    plan() = std::move(best);
  }

  void SetBiasShifts() {
    const size_t samples = std::min<size_t>(task_.calibration_count, 128);
    for (auto& [name, shift] :
         BiasShifts(graph(), plan(), task_.calibration, samples, options_.threads))
      plan().nodes[name].bias_shift = std::move(shift);
  }

  // Coordinate descent: each tensor tries the grids of the best other rules, and keeps one that
  // pays.
  void RefineRanges() {
    const size_t samples = std::min<size_t>(16, tuning_->size());
    const Plan before = plan();
    double best = Distort(samples);
    size_t done = 0;
    for (const auto& [name, h] : result_.histograms) {
      if (options_.progress)
        options_.progress("refining ranges", ++done, result_.histograms.size());
      plan().activations[name] = BestGrid(name, h, samples, best);
    }
    if (options_.correct_bias) SetBiasShifts();
    const double d = Distort();
    AddStep("ranges refined tensor by tensor", d, d < distortion_, true);
    if (d < distortion_) {
      distortion_ = d;
    } else {
      const auto ladder = std::move(plan().ladder);
      plan() = before;
      plan().ladder = ladder;
      AddStep("all layers as before", distortion_, true, true);
    }
  }

  // The grid of one tensor among those of the best rules, the others as they are; `best` is the
  // distortion with it.
  ActivationPlan BestGrid(const std::string& name, const Histogram& h, size_t samples,
                          double& best) {
    constexpr double kGain = 0.99;        // smaller gains are noise of the tuning samples
    constexpr float kDifference = 0.15f;  // nearer grids give the same
    ActivationPlan kept = plan().activations.at(name);
    std::vector<QParams> tried{kept.qparams};
    for (const Choice& choice : rivals_) {
      const ActivationPlan grid = Grid(name, h, choice);
      const auto near = [&](QParams p) {
        return std::abs(p.zero_point - grid.qparams.zero_point) < 8 &&
               std::fabs(p.scale - grid.qparams.scale) < kDifference * p.scale;
      };
      if (std::any_of(tried.begin(), tried.end(), near)) continue;
      tried.push_back(grid.qparams);
      plan().activations[name] = grid;
      const double d = Distort(samples);
      if (d < kGain * best) best = d, kept = grid;
    }
    return kept;
  }

  bool Holds() const { return result_.plan.ladder.back().loss <= options_.tolerance; }

  // Partial quantization: layers go back to float, the ones first that give back most for their
  // multiply-adds.
  void HoldTolerance() {
    std::map<std::string, double> gain;
    const size_t samples = std::min<size_t>(24, tuning_->size());
    while (!Holds() && !QuantizedNodes().empty()) {
      MeasureGains(gain, samples);
      const std::string worst = Worst(gain);
      NodePlan& node = plan().nodes[worst];
      node.quantized = false;
      node.sensitivity = gain.at(worst);
      node.reason = Cat("partial quantization: in float it lowers the output's distortion by ",
                        gain.at(worst));
      last_ = worst;
      distortion_ = Distort();
      AddStep("float: " + worst, distortion_, true, true);
    }
    result_.metric = plan().ladder.back().metric;
    result_.loss = plan().ladder.back().loss;
    result_.within_tolerance = Holds();
  }

  // What each layer alone gives back. After the first round only the best few and the neighbours of
  // the layer that went last are measured again.
  void MeasureGains(std::map<std::string, double>& gain, size_t samples) {
    const double base = Distort(samples);
    const auto again = gain.empty() ? QuantizedNodes() : Shortlist(gain);
    size_t done = 0;
    for (const std::string& name : again) {
      if (options_.progress) options_.progress("measuring sensitivity", ++done, again.size());
      plan().nodes[name].quantized = false;
      gain[name] = base - Distort(samples);
      plan().nodes[name].quantized = true;
      plan().nodes[name].sensitivity = gain[name];
    }
    std::erase_if(gain, [&](const auto& g) { return !plan().nodes[g.first].quantized; });
  }

  std::set<std::string> Shortlist(const std::map<std::string, double>& gain) {
    std::vector<std::pair<double, std::string>> order;
    for (const auto& [name, g] : gain)
      if (plan().nodes[name].quantized) order.push_back({-Worth(name, g), name});
    std::sort(order.begin(), order.end());
    std::set<std::string> names;
    for (size_t i = 0; i < std::min<size_t>(6, order.size()); ++i) names.insert(order[i].second);
    // in graph order, the quantized layers next to the last one
    std::vector<std::string> sequence;
    for (const ComputeNode& c : FindComputeNodes(graph()))
      sequence.push_back(graph().nodes[c.index].name);
    const auto at = std::find(sequence.begin(), sequence.end(), last_) - sequence.begin();
    for (const int64_t step : {-2, -1, 1, 2}) {
      const int64_t i = at + step;
      if (i >= 0 && i < static_cast<int64_t>(sequence.size()) &&
          plan().nodes[sequence[i]].quantized)
        names.insert(sequence[i]);
    }
    return names;
  }

  double MacShare(const std::string& name) const {
    double all = 0;
    for (const auto& [n, macs] : result_.macs) all += static_cast<double>(macs);
    const auto it = result_.macs.find(name);
    return it == result_.macs.end() || all == 0 ? 0 : static_cast<double>(it->second) / all;
  }

  double Worth(const std::string& name, double gain) const {
    return gain / (MacShare(name) + 0.005);
  }

  std::string Worst(const std::map<std::string, double>& gain) const {
    return std::max_element(gain.begin(), gain.end(),
                            [&](const auto& a, const auto& b) {
                              return Worth(a.first, a.second) < Worth(b.first, b.second);
                            })
        ->first;
  }

  const Int8Task& task_;
  const Int8Options& options_;
  Int8Result result_;
  std::optional<TuningSet> tuning_;
  std::map<std::string, Range> live_;
  std::vector<Choice> rivals_;  // the best few of the sweep, best first
  double distortion_ = 0;
  std::string last_;
};

}  // namespace

Int8Result QuantizeInt8(const Model& model, const Int8Task& task, const Int8Options& options) {
  if (options.calibration != "auto") CheckCalibrator(options.calibration);
  Require(task.calibration_count > 0, "calibration needs at least one sample");
  return Workflow(model, task, options).Run();
}

}  // namespace mezzo
