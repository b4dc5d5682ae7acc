#include "mezzo/cli/plan_network.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/bias_correction.h"
#include "mezzo/algorithm/mixed/activation_formats.h"
#include "mezzo/algorithm/mixed/network.h"
#include "mezzo/algorithm/mixed/refine.h"
#include "mezzo/algorithm/mixed/tune.h"
#include "mezzo/algorithm/pack_weights.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/int8_setup.h"
#include "mezzo/cli/layer_times.h"
#include "mezzo/cli/probe_task.h"
#include "mezzo/cli/ranking_check.h"
#include "mezzo/cli/yardstick.h"
#include "mezzo/import/onnx_writer.h"
#include "mezzo/runtime/lower.h"

namespace mezzo {
namespace {

constexpr size_t kTuningBytes = size_t{384} << 20;

constexpr size_t kJudges = 128;  // calibration samples that tell if tuning helps

// One sample in so many tells what auto-quantize asks, which then rests on 250 of 1000: ModelOpt's
// own default is 128.
constexpr size_t kOutputSamples = 4;

// What weights may be besides float32 and int8.
constexpr const char* kFormats = "nf6,nf5,nf4,nf4/32,nf3/32,nf2/32";

// The file's bytes, with weights packed as they will be written.
int64_t FileBytes(Model model, const Plan& plan) {
  PackWeights(model, plan);
  return static_cast<int64_t>(OnnxBytes(model));
}

class NetworkPlanner : public Planner {
 public:
  NetworkPlanner(const PlannerOptions& planner, const PlanNetworkOptions& o)
      : Planner(planner),
        o_(o),
        setup_(planner.model, o.data, o.samples, o.evaluation_samples, o.threads) {
    for (const std::string& b : planner.budgets)
      Require(o.ranks.empty() || !b.starts_with("latency"), "--recovery-ranks with --budget ", b,
              ": what paths take is not measured; give size or bops");
    report_.metric = setup_.metric;
    report_.higher_is_better = setup_.evaluator->higher_is_better();
    report_.loss_name = setup_.task.distortion == DistortionKind::kRelativeError ? "relative error"
                                                                                 : "KL divergence";
  }

  void Run() {
    QuantizeAll();
    MakeOptions();
    CheckFeasible();
    Measure();
    if (o_.validate > 0) Validate();
    // What Q/DQ pairs a layer in float or with a path needs depends on its neighbours: if the file
    // comes out larger than was counted, the rest of it is.
    for (int attempt = 0; attempt < 5; ++attempt) {
      Choose();
      clock_.Begin("finishing the model");
      model_ = Build(choice_.options, &plan_);
      const int64_t excess = SizeExcess();
      if (excess <= 0) break;
      uncounted_ += excess;
    }
    Finish();
    if (options_.front_points > 0) MeasureFront();
    Report();
  }

 private:
  const Graph& graph() const { return base_.prepared.graph; }

  // Every layer in int8: the grids of activations, equalization and the base of the file.
  void QuantizeAll() {
    clock_.Begin("quantizing to int8");
    Int8Options options;
    options.threads = setup_.threads;
    options.tolerance = INFINITY;  // what stays float is chosen here
    options.correct_bias = !o_.no_tuning;
    Progress progress("calibrating", setup_.task.calibration_count);
    options.progress = [&](const std::string& what, size_t, size_t) {
      if (what == "calibrating") progress.Step();
    };
    base_ = QuantizeInt8(setup_.model, setup_.task, options);
    setup_.Sign(base_.plan);
    base_.plan.ladder.clear();
    std::fprintf(out(), "float %s %.6g, all in int8 %.6g\n", setup_.metric.c_str(),
                 base_.plan.float_metric, base_.metric);
    held_out_.emplace(setup_, setup_.split.evaluation, graph());
    calibration_.emplace(setup_, setup_.split.calibration, graph());
  }

  void MakeOptions() {
    clock_.Begin("rounding weights");
    NetworkOptionsTask task;
    task.formats = {"float32", "int8"};
    std::stringstream wanted(o_.formats.empty() ? kFormats : o_.formats);
    for (std::string f; std::getline(wanted, f, ',');) {
      if (f == "float32" || f == "int8") continue;
      ParseWeightOption(f);
      task.formats.push_back(f);
    }
    task.ranks = o_.ranks;
    task.sample = setup_.task.calibration;
    task.count = std::min<size_t>(setup_.task.calibration_count, 128);
    task.threads = setup_.threads;
    layers_ = MakeNetworkOptions(base_, task);
    std::map<std::string, int64_t> shared;
    for (const NetworkLayer& l : layers_) {
      inputs_.push_back(l.input);
      least_.push_back(INT64_MAX);
      for (const NetworkOption& o : l.options) {
        least_.back() = std::min(least_.back(), o.bytes);
        shared.insert(o.shared.begin(), o.shared.end());
      }
    }
    for (const auto& [name, bytes] : shared) shared_bytes_ += bytes;
    size_t held = 0;
    for (const NetworkLayer& l : layers_)
      for (const Tensor& d : l.ranked.deltas) held += d.bytes();
    std::fprintf(out(), "%zu layers with %zu options each: their rounding errors take %.1f MB\n",
                 layers_.size(), layers_.at(0).options.size(), 1e-6 * static_cast<double>(held));
    int8_bytes_ = FileBytes(base_.quantized, base_.plan);
    clock_.Begin("measuring latency");
    std::vector<std::string> names;
    for (const NetworkLayer& l : layers_) names.push_back(l.node);
    times_ = MeasureLayerTimes(graph(), LowerToIntegers(base_.quantized.graph, nullptr), names,
                               setup_.CalibrationInputs(0), setup_.threads);
  }

  void Measure() {
    clock_.Begin("measuring sensitivity");
    std::vector<WeightDeltas> deltas;
    std::vector<ActivationCandidates> activations;
    std::set<std::string> values;  // that the graph knows: moved ones share their source's grid
    for (const ValueInfo& in : graph().inputs) values.insert(in.name);
    for (const Node& node : graph().nodes) values.insert(node.outputs.begin(), node.outputs.end());
    for (const NetworkLayer& l : layers_) deltas.push_back({l.node, l.ranked.deltas, l.shifts});
    for (const auto& [name, a] : base_.plan.activations)
      if (values.contains(name))
        activations.push_back(CodedActivation(name, a, base_.plan.activation_format));
    const size_t n = setup_.task.calibration_count;
    const bool labels = o_.targets == "labels";
    SensitivityTask task =
        ProbeTask(setup_, labels,
                  SpreadProbes(labels ? std::vector<double>(n, 1) : calibration_->Sizes(),
                               std::max(n, o_.sensitivity_samples), o_.data.seed));
    if (options_.front_points > 0 || o_.validate > 0 || options_.ranking == "auto-quantize")
      task.outputs = kOutputSamples;
    Progress progress("measuring sensitivity", task.count);
    const Stopwatch watch;
    measured_ = MeasureSensitivity(graph(), std::move(deltas), std::move(activations), task,
                                   setup_.threads, [&](size_t) { progress.Step(); });
    report_.sensitivity_samples = static_cast<int64_t>(task.count);
    std::fprintf(out(), "sensitivity of %zu layers from %zu samples in %.1f s\n", layers_.size(),
                 task.count, watch.Seconds());
    for (const ActivationSensitivity& a : measured_.activations) activation_[a.value] = a.loss[0];
    report_.activation_formats = ActivationFormatNames();
    for (const ActivationSensitivity& a : measured_.activations)
      report_.activations.push_back({a.value, a.loss});
  }

  std::vector<std::string> Rankings() const override {
    return {"fisher", "hawq", "auto-quantize", "sqnr", "eagl", "ompq"};
  }
  std::vector<std::string> UniformOptions() const override {
    std::vector<std::string> names;
    for (const NetworkOption& o : layers_.at(0).options)
      if (o.name != "float32") names.push_back(o.name);
    return names;
  }

  Scores ScoresBy(const std::string& ranking) {
    std::vector<RankedLayer> ranked;
    for (const NetworkLayer& l : layers_) ranked.push_back(l.ranked);
    if (ranking == "hawq") return HawqScores(ranked, measured_.layers);
    if (ranking == "auto-quantize") return AutoQuantizeScores(measured_.layers);
    if (ranking == "sqnr") return SqnrScores(ranked);
    if (ranking == "eagl") return EaglScores(ranked);
    if (ranking == "ompq")
      return OmpqScores(graph(), ranked, setup_.task.calibration,
                        std::min<size_t>(64, setup_.task.calibration_count), setup_.threads);
    // Coded activations add theirs, which the layers that read them share.
    Scores scores = FisherScores(measured_.layers);
    std::map<std::string, double> readers;
    for (const NetworkLayer& l : layers_) ++readers[l.input];
    for (size_t l = 0; l < layers_.size(); ++l)
      for (size_t i = 0; i < scores[l].size(); ++i)
        if (const auto a = activation_.find(layers_[l].input);
            a != activation_.end() && layers_[l].options[i].name != "float32")
          scores[l][i] += a->second / readers[layers_[l].input];
    return scores;
  }

  std::vector<LayerChoices> LossesBy(const std::string& ranking) override {
    const Scores scores = ScoresBy(ranking);
    std::vector<LayerChoices> all;
    for (size_t l = 0; l < layers_.size(); ++l) {
      LayerChoices layer{layers_[l].node, {}, ""};
      for (size_t i = 0; i < layers_[l].options.size(); ++i) {
        const NetworkOption& o = layers_[l].options[i];
        layer.options.push_back({o.name, o.stored_bits, 0, {}, scores[l][i], !o.available});
      }
      all.push_back(std::move(layer));
    }
    return all;
  }

  int64_t Cost(const std::string& budget, size_t l, size_t i) const override {
    const NetworkOption& o = layers_[l].options[i];
    if (budget == "size") return o.bytes - least_[l];
    if (budget == "latency")
      return o.name == "float32" ? times_.layers[l].float_ns : times_.layers[l].int8_ns;
    const int64_t bits = o.name == "float32" ? 32 * 32 : o.bits * 8;
    return layers_[l].macs * bits + o.path_macs * 16 * 32;
  }
  int64_t Rest(const std::string& budget) const override {
    if (budget == "latency") return times_.rest_ns;
    int64_t rest = 0;
    if (budget == "size") {
      rest = int8_bytes_ + shared_bytes_ + uncounted_;
      for (const int64_t least : least_) rest += least;
    }
    return rest;
  }
  double OfFloat(const std::string& budget) const override {
    if (budget == "size") return SizeOfFiles(setup_.files);
    if (budget == "latency") return static_cast<double>(times_.float_ns);
    double sum = 0;
    for (const NetworkLayer& l : layers_) sum += 32.0 * 32 * static_cast<double>(l.macs);
    return sum;
  }

  // With biases, or scales and biases, fitted layer after layer, if that is nearer to the float
  // model on calibration samples.
  Model Build(const std::vector<size_t>& options, Plan* plan) {
    *plan = WithOptions(base_.plan, layers_, options);
    plan->notes.clear();
    tuning_note_.clear();
    if (o_.no_tuning) return ApplyPlan(base_.prepared, *plan, &plan->notes);
    if (!tuning_)
      tuning_.emplace(graph(), setup_.task.distortion, setup_.task.calibration,
                      std::min<size_t>(48, setup_.task.calibration_count), kTuningBytes,
                      setup_.threads);
    Tuned best = TunePlan(
        base_.prepared, std::move(*plan), *tuning_, kTuningBytes,
        [&](const Model& m) {
          return calibration_->Loss(LowerToIntegers(m.graph, nullptr), kJudges);
        },
        setup_.threads);
    tuning_note_ = Cat(report_.loss_name, " on calibration samples ", best.note);
    *plan = std::move(best.plan);
    return std::move(best.model);
  }

  PlanPoint Measured(const Model& model, const Plan& plan, const std::vector<size_t>& options,
                     double predicted) {
    PlanPoint p;
    p.predicted_loss = predicted;
    p.bytes = static_cast<double>(FileBytes(model, plan));
    const Graph lowered = LowerToIntegers(model.graph, nullptr);
    p.metric = setup_.task.metric(lowered).metric;
    p.output_loss = held_out_->Loss(lowered);
    double bits = 0, weights = 0;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const auto n = static_cast<double>(layers_[l].ranked.weight.numel());
      bits += n * layers_[l].options[options[l]].stored_bits;
      weights += n;
    }
    p.average_bits = bits / weights;
    return p;
  }
  PlanPoint Weigh(const std::vector<size_t>& options, double predicted) override {
    Plan plan;
    const Model model = Build(options, &plan);
    return Measured(model, plan, options, predicted);
  }

  // The loss on calibration samples, with each option's own fit.
  double Quick(const std::vector<size_t>& options) {
    const Model model = ApplyPlan(base_.prepared, WithOptions(base_.plan, layers_, options));
    return calibration_->Loss(LowerToIntegers(model.graph, nullptr));
  }

  Choice Refined(const Choice& first, const std::vector<LayerChoices>& choices,
                 const std::vector<Budget>& limits) override {
    std::vector<Choice> starts{first};
    for (const char* ranking : {"hawq", "auto-quantize"}) {  // other places to begin at
      if (std::string(ranking) == "auto-quantize" && measured_.layers[0].outputs.empty()) continue;
      starts.push_back(ChooseOptions(ChoicesBy(ranking, limits), limits));
    }
    Progress progress("refining", options_.refine * layers_.size());
    Refinement r = RefineChoice(
        starts, choices, limits, options_.refine,
        [&](const std::vector<size_t>& options) { return Quick(options); },
        [&] { progress.Step(); });
    std::fprintf(out(), "refined: %s on calibration samples %.6g -> %.6g\n",
                 report_.loss_name.c_str(), r.before, r.after);
    return std::move(r.best);
  }

  void Finish() {
    for (size_t l = 0; l < layers_.size(); ++l)
      plan_.nodes[layers_[l].node].sensitivity = choices_[l].options[choice_.options[l]].loss;
    clock_.Begin("measuring the model");
    if (!tuning_note_.empty()) report_.notes.push_back(tuning_note_);
    const PlanPoint p = Measured(model_, plan_, choice_.options, choice_.loss);
    const Graph lowered = LowerToIntegers(model_.graph, nullptr);
    const double ns =
        1e6 * MedianLatencies(Session(graph(), {setup_.threads}),
                              Session(lowered, {setup_.threads}), setup_.CalibrationInputs(0))
                  .second;
    CheckBudgets(p, ns);
    std::fprintf(out(), "%.3f bits a weight; held-out %s %.6g (float %.6g), %s %.6g\n",
                 p.average_bits, setup_.metric.c_str(), p.metric, base_.plan.float_metric,
                 report_.loss_name.c_str(), p.output_loss);
    report_.notes.insert(report_.notes.end(), plan_.notes.begin(), plan_.notes.end());
    WritePlan(plan_, options_.output);
    std::fprintf(out(), "wrote %s\n", options_.output.c_str());
  }

  // Bytes of the file above its budget.
  int64_t SizeExcess() const {
    for (const Budget& b : limits_)
      if (b.name == "size") return FileBytes(model_, plan_) - b.limit;
    return 0;
  }

  void Validate() {
    clock_.Begin("validating rankings");
    Progress progress("validating rankings", layers_.size());
    const Scores alone = LossesAlone(
        graph(), layers_, [&](const Graph& g) { return held_out_->Loss(g, o_.validate); },
        [&] { progress.Step(); });
    report_.validated = UniformOptions();
    for (const std::string& name : Rankings()) {
      PlanRanking r =
          AgreementOf(name, name == "fisher" ? FisherScores(measured_.layers) : ScoresBy(name),
                      alone, layers_[0].options);
      std::fprintf(out(), "%-14s rank correlation at 4 bits and below %.3f;", name.c_str(),
                   r.correlation);
      for (size_t i = 0; i < r.by_option.size(); ++i)
        std::fprintf(out(), " %s %.3f", report_.validated[i].c_str(), r.by_option[i]);
      std::fprintf(out(), "\n");
      report_.rankings.push_back(std::move(r));
    }
  }

  void Report() {
    if (options_.report.empty() && !options_.json) return;
    report_.float_metric = base_.plan.float_metric;
    report_.float_bytes = OfFloat("size");
    for (const NetworkLayer& l : layers_)
      report_.layers.push_back(
          {l.node, l.op, double(l.ranked.weight.numel()), double(l.macs), {}, 0, ""});
    report_.calibration_samples = static_cast<int64_t>(setup_.task.calibration_count);
    report_.evaluation_samples = static_cast<int64_t>(setup_.task.held_out_count);
    FillReport(setup_.threads.count());
    WriteReport();
  }

  const PlanNetworkOptions& o_;
  Int8Setup setup_;
  Int8Result base_;
  std::vector<NetworkLayer> layers_;
  Sensitivities measured_;
  std::map<std::string, double> activation_;  // loss of the 8-bit grid, by value
  std::optional<Yardstick> held_out_, calibration_;
  std::optional<TuningSet> tuning_;
  Model model_;  // with the precisions chosen
  Plan plan_;
  std::string tuning_note_;  // of the model built last
  int64_t int8_bytes_ = 0, shared_bytes_ = 0, uncounted_ = 0;
  std::vector<int64_t> least_;  // by layer, of its options' bytes
  LayerTimes times_;
};

}  // namespace

void PlanNetwork(const PlannerOptions& planner, const PlanNetworkOptions& network) {
  Require(!network.data.data.empty(), "--data is required");
  NetworkPlanner(planner, network).Run();
}

}  // namespace mezzo
