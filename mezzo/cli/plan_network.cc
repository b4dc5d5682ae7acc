// One planner: its steps hand each other the base network, options, sensitivities and samples, so
// that a file apiece would be a struct of all these and functions over it. What can stand alone
// does: mixed/, sensitivity/, planner.cc.
#include "mezzo/cli/plan_network.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <sstream>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/bias_correction.h"
#include "mezzo/algorithm/mixed/activation_formats.h"
#include "mezzo/algorithm/mixed/network.h"
#include "mezzo/algorithm/pack_weights.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/int8_setup.h"
#include "mezzo/import/onnx_writer.h"
#include "mezzo/runtime/lower.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

constexpr size_t kKeptOutputs = size_t{64} << 20, kTuningBytes = size_t{384} << 20;

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

// Samples, and the float model's outputs on them, made once.
class Yardstick {
 public:
  Yardstick(const Int8Setup& setup, std::vector<size_t> samples, const Graph& graph)
      : setup_(setup), samples_(std::move(samples)), session_(graph, {}), kept_(samples_.size()) {}

  // ProbeSize of each sample.
  std::vector<double> Sizes() {
    std::vector<double> sizes(samples_.size());
    setup_.threads.Each(sizes.size(), [&](size_t i, size_t) {
      sizes[i] = ProbeSize(setup_.task.distortion, FloatOutputs(i, Inputs(i)));
    });
    return sizes;
  }

  // The mean loss of a graph's outputs over the first `count` samples.
  double Loss(const Graph& graph, size_t count = SIZE_MAX) {
    const Session session(graph, {});
    std::vector<double> losses(std::min(count, kept_.size()));
    setup_.threads.Each(losses.size(), [&](size_t i, size_t) {
      const TensorMap inputs = Inputs(i);
      losses[i] = OutputLoss(setup_.task.distortion, FloatOutputs(i, inputs), session.Run(inputs));
    });
    double sum = 0;
    for (const double l : losses) sum += l;
    return sum / static_cast<double>(losses.size());
  }

 private:
  TensorMap Inputs(size_t i) const { return setup_.dataset->Get(samples_[i]).inputs; }
  std::vector<Tensor> FloatOutputs(size_t i, const TensorMap& inputs) {
    if (!kept_[i].empty()) return kept_[i];
    std::vector<Tensor> outputs = session_.Run(inputs);
    size_t bytes = 0;
    for (const Tensor& t : outputs) bytes += t.bytes();
    if (bytes * kept_.size() <= kKeptOutputs) kept_[i] = outputs;
    return outputs;
  }

  const Int8Setup& setup_;
  const std::vector<size_t> samples_;
  const Session session_;
  std::vector<std::vector<Tensor>> kept_;
};

class NetworkPlanner : public Planner {
 public:
  NetworkPlanner(const PlannerOptions& planner, const PlanNetworkOptions& o)
      : Planner(planner),
        o_(o),
        setup_(planner.model, o.data, o.samples, o.evaluation_samples, o.threads) {
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
    // What Q/DQ pairs a layer in float needs depends on its neighbours: if the file comes out
    // larger than was counted, the rest of it is.
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
                 layers_.size(), task.formats.size(), 1e-6 * static_cast<double>(held));
    int8_bytes_ = FileBytes(base_.quantized, base_.plan);
    MeasureTimes();
  }

  // What each layer takes in integers and in float, with the Relu or Clip behind it, and what all
  // else takes in the int8 network.
  void MeasureTimes() {
    clock_.Begin("measuring latency");
    const TensorMap inputs = setup_.CalibrationInputs(0);
    const Graph lowered = LowerToIntegers(base_.quantized.graph, nullptr);
    const auto [float_ms, int8_ms] = MedianLatencies(Session(graph(), {setup_.threads}),
                                                     Session(lowered, {setup_.threads}), inputs);
    const auto floats = NodeTimes(graph(), inputs, float_ms);
    const auto integers = NodeTimes(lowered, inputs, int8_ms);
    const Uses uses(graph());
    int64_t total = 0;
    for (const auto& [name, ns] : integers) total += ns;
    for (const auto& [name, ns] : floats) float_ns_ += ns;
    rest_ns_ = total;
    for (const NetworkLayer& l : layers_) {
      const auto it = integers.find(l.node);
      std::pair<int64_t, int64_t> time{it == integers.end() ? 0 : it->second, floats.at(l.node)};
      for (const Node& node : graph().nodes)
        if ((node.Is("Relu") || node.Is("Clip")) && uses.producer.contains(node.inputs[0]) &&
            graph().nodes[uses.producer.at(node.inputs[0])].name == l.node)
          time.second += floats.at(node.name);
      rest_ns_ -= time.first;
      times_.push_back(time);
    }
  }

  // The median of each node's time, brought to add up to what a whole run takes.
  std::map<std::string, int64_t> NodeTimes(const Graph& g, const TensorMap& inputs,
                                           double whole_ms) const {
    constexpr int kRuns = 15;
    const Session session(g, {setup_.threads});
    session.Run(inputs);
    std::vector<std::vector<int64_t>> runs(kRuns);
    for (auto& ns : runs) session.Profile(inputs, &ns);
    std::map<std::string, int64_t> times;
    for (size_t k = 0; k < g.nodes.size(); ++k) {
      std::vector<double> one;
      for (const auto& ns : runs) one.push_back(static_cast<double>(ns[k]));
      times[g.nodes[k].name] += static_cast<int64_t>(Median(one));
    }
    double sum = 0;
    for (const auto& [name, ns] : times) sum += static_cast<double>(ns);
    for (auto& [name, ns] : times)
      ns = static_cast<int64_t>(static_cast<double>(ns) * 1e6 * whole_ms / sum);
    return times;
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
    const DistortionKind kind = setup_.task.distortion;
    const bool labels = o_.targets == "labels";
    const std::vector<ProbeDraw> draws =
        SpreadProbes(labels ? std::vector<double>(n, 1) : calibration_->Sizes(),
                     std::max(n, o_.sensitivity_samples), o_.data.seed);
    SensitivityTask task;
    task.count = draws.size();
    task.sample = [&](size_t i) { return setup_.CalibrationInputs(draws[i].sample); };
    task.probe = [&](size_t i, const std::vector<Tensor>& outputs) {
      std::vector<Tensor> u;
      if (labels) {
        const Sample s = setup_.dataset->Get(setup_.split.calibration[draws[i].sample]);
        u = LabelProbe(kind, outputs, LabelAs<int64_t>(s, "--targets labels", "a class index"));
      } else {
        u = DrawProbe(kind, outputs, o_.data.seed * 1000003 + i);
      }
      for (Tensor& t : u)
        if (t.defined())
          for (float& v : t.span<float>()) v *= draws[i].scale;
      return u;
    };
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
        layer.options.push_back({o.name, o.stored_bits, 0, {}, scores[l][i], false});
      }
      all.push_back(std::move(layer));
    }
    return all;
  }

  int64_t Cost(const std::string& budget, size_t l, size_t i) const override {
    const NetworkOption& o = layers_[l].options[i];
    if (budget == "size") return o.bytes - least_[l];
    if (budget == "latency") return o.name == "float32" ? times_[l].second : times_[l].first;
    const int64_t bits = o.name == "float32" ? 32 * 32 : o.bits * 8;
    return layers_[l].macs * bits;
  }
  int64_t Rest(const std::string& budget) const override {
    if (budget == "latency") return rest_ns_;
    int64_t rest = 0;
    if (budget == "size") {
      rest = int8_bytes_ + shared_bytes_ + uncounted_;
      for (const int64_t least : least_) rest += least;
    }
    return rest;
  }
  double OfFloat(const std::string& budget) const override {
    if (budget == "size") return SizeOfFiles(setup_.files);
    if (budget == "latency") return static_cast<double>(float_ns_);
    double sum = 0;
    for (const NetworkLayer& l : layers_) sum += 32.0 * 32 * static_cast<double>(l.macs);
    return sum;
  }

  // With biases, or scales and biases, fitted layer after layer, if that is nearer to the float
  // model on calibration samples.
  Model Build(const std::vector<size_t>& options, Plan* plan) {
    *plan = WithOptions(base_.plan, layers_, options);
    plan->notes.clear();
    Model best = ApplyPlan(base_.prepared, *plan, &plan->notes);
    tuning_note_.clear();
    if (o_.no_tuning) return best;
    if (!tuning_)
      tuning_.emplace(graph(), setup_.task.distortion, setup_.task.calibration,
                      std::min<size_t>(48, setup_.task.calibration_count), kTuningBytes,
                      setup_.threads);
    const auto loss = [&](const Model& model) {
      return calibration_->Loss(LowerToIntegers(model.graph, nullptr), kJudges);
    };
    double least = loss(best);
    tuning_note_ = Cat(report_.loss_name, " on calibration samples ", least);
    const Plan as_it_is = *plan;
    for (const bool scales : {false, true}) {
      Plan tuned = as_it_is;
      for (auto& [name, node] : tuned.nodes) node.bias_shift.clear();
      ApplyFits(graph(),
                FitOutputs(base_.prepared, tuned, *tuning_, kTuningBytes, scales, setup_.threads),
                tuned);
      Model fitted = ApplyPlan(base_.prepared, tuned);
      const double got = loss(fitted);
      tuning_note_ += Cat(scales ? ", scales and biases " : ", with biases fitted ", got);
      if (got >= least) continue;
      least = got;
      best = std::move(fitted);
      *plan = std::move(tuned);
    }
    tuning_note_ += ": the best was kept";
    return best;
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

  // What each layer costs in its place, measured as what it gives back in int8, weighs its
  // predicted losses for the next choice; the best choice of all rounds stays.
  Choice Refined(const Choice& first, const std::vector<LayerChoices>& choices,
                 const std::vector<Budget>& limits) override {
    std::vector<LayerChoices> layers = choices;
    Choice best = first;
    const double begin = Quick(first.options);
    double least = begin;
    for (const char* ranking : {"hawq", "auto-quantize"}) {  // other places to begin at
      if (std::string(ranking) == "auto-quantize" && measured_.layers[0].outputs.empty()) continue;
      const Choice other = ChooseOptions(ChoicesBy(ranking, limits), limits);
      const double loss = Quick(other.options);
      if (loss < least) least = loss, best = other;
    }
    Choice present = best;
    double now = least;
    for (size_t round = 0; round < options_.refine; ++round) {
      Progress progress("refining", layers_.size());
      for (size_t l = 0; l < layers_.size(); ++l) {
        progress.Step();
        const size_t i = present.options[l];
        size_t rich = 0;  // int8, or float32 from there
        const std::string reference = layers_[l].options[i].name == "int8" ? "float32" : "int8";
        while (layers_[l].options[rich].name != reference) ++rich;
        if (layers_[l].options[i].name == "float32") continue;
        const double predicted = layers[l].options[i].loss - layers[l].options[rich].loss;
        if (predicted <= 0.002 * present.loss) continue;  // too little to be seen
        std::vector<size_t> richer = present.options;
        richer[l] = rich;
        const double ratio = std::clamp((now - Quick(richer)) / predicted, 0.25, 4.0);
        for (LayerOption& o : layers[l].options) o.loss *= std::sqrt(ratio);
      }
      present = ChooseOptions(layers, limits);
      now = Quick(present.options);
      if (now < least) least = now, best = present;
    }
    std::fprintf(out(), "refined: %s on calibration samples %.6g -> %.6g\n",
                 report_.loss_name.c_str(), begin, least);
    // what was proven is the prediction that all began with
    best.answer = first.answer;
    best.loss_unit = first.loss_unit;
    best.loss = 0;
    for (size_t l = 0; l < choices.size(); ++l)
      best.loss += choices[l].options[best.options[l]].loss;
    return best;
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

  // Every layer alone at every option: what that really does, and how the rankings foretell it.
  void Validate() {
    clock_.Begin("validating rankings");
    const size_t options = layers_.at(0).options.size();
    std::vector<std::vector<double>> truth(layers_.size(), std::vector<double>(options));
    Progress progress("validating rankings", layers_.size());
    for (size_t l = 0; l < layers_.size(); ++l) {
      for (size_t i = 0; i < options; ++i) {
        Graph changed = graph();
        for (const Node& node : graph().nodes) {
          if (node.name != layers_[l].node) continue;
          Tensor& w = changed.initializers.at(node.inputs[1]);
          w = Sum(w, layers_[l].ranked.deltas[i]);
          const Tensor& shift = layers_[l].shifts[i];
          if (!shift.defined() || !node.HasInput(2)) continue;
          Tensor& bias = changed.initializers.at(node.inputs[2]);
          bias = Sum(bias, shift);
        }
        truth[l][i] = held_out_->Loss(changed, o_.validate);
      }
      progress.Step();
    }
    for (size_t i = 0; i < options; ++i)
      if (layers_[0].options[i].name != "float32")
        report_.validated.push_back(layers_[0].options[i].name);
    for (const std::string& name : Rankings()) {
      const Scores scores = name == "fisher" ? FisherScores(measured_.layers) : ScoresBy(name);
      PlanRanking ranking{name, 0, {}};
      std::vector<double> all, all_true;
      for (size_t i = 0; i < options; ++i) {
        const NetworkOption& o = layers_[0].options[i];
        if (o.name == "float32") continue;
        std::vector<double> a, b;
        for (size_t l = 0; l < layers_.size(); ++l) {
          a.push_back(scores[l][i]);
          b.push_back(truth[l][i]);
        }
        ranking.by_option.push_back(RankCorrelation(a, b));
        if (o.bits > 4) continue;
        all.insert(all.end(), a.begin(), a.end());
        all_true.insert(all_true.end(), b.begin(), b.end());
      }
      ranking.correlation = RankCorrelation(all, all_true);
      std::fprintf(out(), "%-14s rank correlation at 4 bits and below %.3f;", name.c_str(),
                   ranking.correlation);
      for (size_t i = 0; i < ranking.by_option.size(); ++i)
        std::fprintf(out(), " %s %.3f", report_.validated[i].c_str(), ranking.by_option[i]);
      std::fprintf(out(), "\n");
      report_.rankings.push_back(std::move(ranking));
    }
  }

  void Report() {
    if (options_.report.empty() && !options_.json) return;
    report_.float_metric = base_.plan.float_metric;
    report_.float_bytes = OfFloat("size");
    for (const NetworkLayer& l : layers_)
      report_.layers.push_back({l.node,
                                l.op,
                                static_cast<double>(l.ranked.weight.numel()),
                                static_cast<double>(l.macs),
                                {},
                                0,
                                ""});
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
  int64_t int8_bytes_ = 0, shared_bytes_ = 0, uncounted_ = 0, rest_ns_ = 0, float_ns_ = 0;
  std::vector<int64_t> least_;                      // by layer, of its options' bytes
  std::vector<std::pair<int64_t, int64_t>> times_;  // by layer: ns in int8 and in float
};

}  // namespace

void PlanNetwork(const PlannerOptions& planner, const PlanNetworkOptions& network) {
  Require(!network.data.data.empty(), "--data is required");
  NetworkPlanner(planner, network).Run();
}

}  // namespace mezzo
