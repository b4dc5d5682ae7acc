#include "mezzo/algorithm/int8_workflow.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <optional>
#include <set>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/bias_correction.h"
#include "mezzo/algorithm/equalize.h"
#include "mezzo/algorithm/grid.h"
#include "mezzo/algorithm/layer_worth.h"
#include "mezzo/algorithm/live_range.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/algorithm/tables.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/calibrate/calibrators.h"
#include "mezzo/runtime/lower.h"
#include "mezzo/runtime/macs.h"

namespace mezzo {
namespace {

// Partial quantization leaves this share of multiply-adds in integers as long as it finds layers.
constexpr double kInt8Macs = 0.9;

class Workflow {
 public:
  Workflow(const Model& model, const Int8Task& task, const Int8Options& options)
      : task_(task), options_(options) {
    result_.prepared = PrepareFloat(model);
    CheckWeights(result_.prepared.graph);
    const std::vector<std::string> rules = options_.calibration == "auto"
                                               ? AllCalibrators()
                                               : std::vector<std::string>{options_.calibration};
    for (const std::string& rule : rules)
      for (const bool symmetric : {false, true}) rules_.push_back({rule, symmetric});
  }

  Int8Result Run() {
    plan().float_metric = task_.metric(graph()).metric;
    Say(Cat("float: ", task_.metric_name, " ", plan().float_metric));
    PlanNodes();
    result_.macs = CountMacs(graph(), Session(graph(), {options_.threads}), task_.calibration(0));
    worth_.emplace(graph(), result_.macs);
    tuning_.emplace(graph(), task_.distortion, task_.calibration,
                    std::min(options_.tuning_samples, task_.calibration_count),
                    options_.tuning_bytes, options_.threads);
    Begin("calibrating");
    CollectStatistics({});
    Begin("choosing ranges");
    ChooseCalibration("");
    Begin("equalizing channels");
    if (options_.equalize) Equalize();
    Begin("rounding weights");
    if (options_.correct_rounding || !options_.weights.plain()) RoundWeights();
    if (options_.training.samples > 0) TrainPaths();
    Begin("holding the tolerance");
    AddStep("all layers, " + plan().activations.begin()->second.calibration, distortion_, true,
            true);
    if (!Holds() && options_.refine) RefineRanges();
    HoldTolerance();
    plan().notes.clear();
    result_.quantized = ApplyPlan(result_.prepared, plan(), &plan().notes);
    return std::move(result_);
  }

 private:
  Plan& plan() { return result_.plan; }
  const Graph& graph() const { return result_.prepared.graph; }
  void Begin(const std::string& stage) const {
    if (options_.begin) options_.begin(stage);
  }
  void Say(const std::string& line) const {
    if (options_.say) options_.say(line);
  }

  void PlanNodes() {
    std::map<std::string, std::string> why;
    const auto nodes = FindComputeNodes(graph(), &why);
    Require(!nodes.empty(), "the model has no Conv, Gemm or MatMul that can be quantized");
    for (const auto& [name, reason] : why) plan().nodes[name].reason = reason;
    for (const ComputeNode& c : nodes) plan().nodes[graph().nodes[c.index].name].quantized = true;
    SetWeightScales();
    for (const std::string& table : FindTables(graph()))
      plan().tables[table] = options_.tables->name;
    for (const std::string& name : options_.exclude) {
      if (plan().tables.erase(name)) continue;
      const auto it = plan().nodes.find(name);
      Require(it != plan().nodes.end(), "--exclude: the model has no node or table ", name,
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

  void SetWeightScales() {
    for (const ComputeNode& c : FindComputeNodes(graph())) {
      const Node& node = graph().nodes[c.index];
      if (c.has_weight)
        plan().nodes[node.name].weight_scales =
            WeightScales(node, *graph().Initializer(node.inputs[1]), options_.limit_pairs);
    }
  }

  // Histograms of all that could be quantized, and what of their ranges counts; `live` for values
  // that only the caller knows.
  void CollectStatistics(std::map<std::string, Range> live) {
    std::set<std::string> roots;
    for (const auto& [value, root] : FindSites(graph(), plan().QuantizedNodes()).root)
      roots.insert(root);
    result_.histograms =
        CollectHistograms(graph(), roots, task_.calibration, task_.calibration_count,
                          options_.threads, [&](size_t done) {
                            if (options_.progress)
                              options_.progress("calibrating", done, task_.calibration_count);
                          });
    std::map<std::string, Range> seen;
    for (const auto& [name, h] : result_.histograms)
      seen[name] = {std::min(h.min(), 0.0f), std::max(h.max(), 0.0f)};
    live.merge(LiveRanges(graph(), seen));
    grids_ = MakeGrids(result_.histograms, live, rules_, options_.activations, options_.threads);
  }

  void SetGrids(const GridRule& rule) { plan().activations = grids_.at(rule.Name()); }

  Graph Integers() { return LowerToIntegers(ApplyPlan(result_.prepared, plan()).graph, nullptr); }
  double Distort(size_t samples = SIZE_MAX) { return tuning_->Measure(Integers(), samples); }

  double Int8Macs() {
    double share = 0;
    for (const std::string& name : plan().QuantizedNodes()) share += worth_->MacShare(name);
    return share;
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

  // Every rule on a few samples; then the best few on all, with biases corrected and without.
  void ChooseCalibration(const std::string& suffix) {
    std::vector<std::pair<double, size_t>> order;
    for (size_t i = 0; i < rules_.size(); ++i) {
      ClearBiasShifts();
      SetGrids(rules_[i]);
      order.push_back({Distort(16), i});
      AddStep(rules_[i].Name() + suffix, order.back().first, false, false);
    }
    std::sort(order.begin(), order.end());
    rivals_.clear();
    for (size_t i = 0; i < std::min<size_t>(4, order.size()); ++i)
      rivals_.push_back(rules_[order[i].second]);
    KeepBest(suffix);
  }

  void KeepBest(const std::string& suffix) {
    distortion_ = INFINITY;
    Plan best;
    for (const GridRule& rule : rivals_) {
      ClearBiasShifts();
      SetGrids(rule);
      if (&rule == &rivals_[0] || !options_.correct_bias)
        Judge(rule.Name() + suffix + ", all tuning samples", best);
      if (!options_.correct_bias) continue;
      SetBiasShifts();
      Judge(rule.Name() + suffix + ", biases corrected", best);
    }
    Restore(best);
  }

  // The plan as it is now, against the best so far.
  void Judge(const std::string& tried, Plan& best) {
    const double d = Distort();
    AddStep(tried, d, d < distortion_, false);
    if (d < distortion_) distortion_ = d, best = plan();
  }
  // Goes back to a plan; what was tried stays.
  void Restore(Plan& best) {
    best.ladder = std::move(plan().ladder);
    plan() = std::move(best);
  }

  // The whole choice again on the graph with equalized channels; kept if it is better.
  void Equalize() {
    const size_t samples = std::min<size_t>(task_.calibration_count, 128);
    Equalization e = ChooseEqualization(graph(), plan().QuantizedNodes(), task_.calibration,
                                        samples, *tuning_, options_.threads);
    if (e.scales.empty()) return;
    const Int8Result before = result_;
    auto before_grids = grids_;
    const auto before_rivals = rivals_;
    const double before_distortion = distortion_;
    result_.prepared.graph = ScaleChannels(graph(), e.scales);
    plan().activations.clear();
    plan().equalization = std::move(e.scales);
    SetWeightScales();
    CollectStatistics(std::move(e.live));
    ChooseCalibration(", equalized");
    if (distortion_ < before_distortion) return;
    std::vector<LadderStep> ladder = std::move(plan().ladder);
    result_ = before;
    plan().ladder = std::move(ladder);
    grids_ = std::move(before_grids);
    rivals_ = before_rivals;
    distortion_ = before_distortion;
  }

  // Weights rounded as their layers' inputs correlate, with biases corrected or without; kept if
  // that is better, or if narrow formats or paths are asked for.
  void RoundWeights() {
    Plan best = plan();
    if (!options_.weights.plain()) distortion_ = INFINITY;
    LayerMoments moments;
    if (options_.correct_rounding)
      moments = {task_.calibration, std::min<size_t>(task_.calibration_count, 128),
                 options_.moment_bytes};
    RoundLayers(graph(), options_.weights, moments, options_.threads, plan());
    const int64_t rank = options_.weights.path.rank;
    const std::string tried = Cat(options_.weights.format->name, " weights",
                                  options_.correct_rounding ? ", error-corrected rounding" : "",
                                  rank > 0 ? Cat(", paths of rank ", rank) : "");
    ClearBiasShifts();
    Judge(tried, best);
    if (options_.correct_bias) {
      SetBiasShifts();
      Judge(tried + ", biases corrected", best);
    }
    Restore(best);
  }

  void TrainPaths() {
    Begin("training paths");
    for (auto& [layer, path] : mezzo::TrainPaths(result_.prepared, plan(), task_.distortion,
                                                 task_.calibration, options_.training))
      plan().nodes.at(layer).path = path;
    distortion_ = Distort();
    AddStep("paths trained", distortion_, true, false);
  }

  void ClearBiasShifts() {
    for (auto& [name, node] : plan().nodes) node.bias_shift.clear();
  }

  void SetBiasShifts() {
    for (auto& [name, shift] :
         BiasShifts(result_.prepared, plan(), *tuning_, options_.tuning_bytes, options_.threads))
      plan().nodes[name].bias_shift = std::move(shift);
  }

  // Coordinate descent: each tensor tries the grids of the best other rules. The result replaces a
  // plan that does not hold the tolerance if it holds it and the tuning samples cannot tell them
  // apart.
  void RefineRanges() {
    constexpr double kSame = 1.1;  // the standard error of a comparison is a tenth or so
    const size_t samples = std::min<size_t>(16, tuning_->size());
    Plan before = plan();
    double best = Distort(samples);
    size_t done = 0;
    for (const auto& [name, h] : result_.histograms) {
      if (options_.progress)
        options_.progress("refining ranges", ++done, result_.histograms.size());
      plan().activations[name] = BestGrid(name, samples, best);
    }
    if (options_.correct_bias) SetBiasShifts();
    const double d = Distort();
    AddStep("ranges refined tensor by tensor", d, true, true);
    if (d < distortion_ || (Holds() && d < kSame * distortion_)) {
      distortion_ = d;
    } else {
      plan().ladder.back().kept = false;
      Restore(before);
      AddStep("all layers as before", distortion_, true, true);
    }
  }

  // The grid of one tensor among those of the best rules, the others as they are; `best` is the
  // distortion with it.
  ActivationPlan BestGrid(const std::string& name, size_t samples, double& best) {
    constexpr double kGain = 0.99;        // smaller gains are noise of the tuning samples
    constexpr float kDifference = 0.15f;  // nearer grids give the same
    ActivationPlan kept = plan().activations.at(name);
    std::vector<QParams> tried{kept.qparams};
    for (const GridRule& choice : rivals_) {
      const ActivationPlan& grid = grids_.at(choice.Name()).at(name);
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

  // Over it by more than two standard errors of the networks' difference.
  bool LossIsCertain() const {
    const LadderStep& step = result_.plan.ladder.back();
    const double f = result_.plan.float_metric, difference = f - step.metric;
    if (std::isnan(step.regressions) || task_.held_out_count == 0 || f <= 0) return true;
    const double apart = 2 * step.regressions - difference;  // regressed and gained, as shares
    const double variance = (apart - difference * difference) / double(task_.held_out_count);
    const double error = std::sqrt(std::max(0.0, variance)) / f;
    return step.loss - 2 * error > options_.tolerance;
  }

  // Partial quantization: layers go back to float, the ones first that give back most for their
  // multiply-adds. If that ends short of the tolerance and the loss was in doubt from the start, it
  // bought nothing that can be seen: all layers stay in integers.
  void HoldTolerance() {
    std::map<std::string, double> gain;
    Plan whole = plan();
    const LadderStep step = whole.ladder.back();
    const bool doubtful = !LossIsCertain();
    const size_t samples = std::min<size_t>(24, tuning_->size());
    while (!Holds() && !plan().QuantizedNodes().empty()) {
      MeasureGains(gain, samples);
      const std::string worst = worth_->Best(gain, Int8Macs() - kInt8Macs);
      if (Int8Macs() - worth_->MacShare(worst) < kInt8Macs && !LossIsCertain()) {
        Say(Cat("the loss is too near the tolerance for the held-out samples to tell: ",
                doubtful ? "all" : "the other", " layers stay"));
        if (doubtful) Restore(whole), plan().ladder.push_back(step);
        break;
      }
      NodePlan& node = plan().nodes[worst];
      node.quantized = false;
      node.sensitivity = gain.at(worst);
      node.reason = Cat("partial quantization: in float it changes the output's distortion by ",
                        -node.sensitivity);
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
    const auto quantized = plan().QuantizedNodes();
    const auto again = gain.empty() ? quantized : worth_->Shortlist(gain, quantized, last_);
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

  const Int8Task& task_;
  const Int8Options& options_;
  Int8Result result_;
  std::optional<TuningSet> tuning_;
  std::vector<GridRule> rules_;
  RuleGrids grids_;
  std::vector<GridRule> rivals_;  // the best few of the sweep, best first
  double distortion_ = 0;
  std::optional<LayerWorth> worth_;
  std::string last_;  // layer that went to float
};

}  // namespace

Int8Result QuantizeInt8(const Model& model, const Int8Task& task, const Int8Options& options) {
  if (options.calibration != "auto") CheckCalibrator(options.calibration);
  Require(task.calibration_count > 0, "calibration needs at least one sample");
  return Workflow(model, task, options).Run();
}

}  // namespace mezzo
