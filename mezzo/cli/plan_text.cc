#include "mezzo/cli/plan_text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "mezzo/algorithm/llm/job.h"
#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/algorithm/llm/text_sensitivity.h"
#include "mezzo/algorithm/sensitivity/rankings.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/evaluate_text.h"
#include "mezzo/cli/options.h"
#include "mezzo/evaluate/perplexity.h"
#include "mezzo/import/llm/shards.h"
#include "mezzo/tensor/difference.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

constexpr LlmPrecision kOptions[] = {LlmPrecision::kFourBits, LlmPrecision::kInt8,
                                     LlmPrecision::kFloat};

// What tensors add to a safetensors file; offsets, whose digits depend on what is before them, with
// as many as can be.
int64_t FileBytes(const std::vector<TensorBytes>& tensors) {
  int64_t sum = 0;
  for (const TensorBytes& t : tensors) {
    sum += static_cast<int64_t>(t.bytes.size());
    sum += static_cast<int64_t>(t.spec.name.size() + ToString(t.spec.shape).size()) + 64;
  }
  return sum;
}

class TextPlanner : public Planner {
 public:
  TextPlanner(const PlannerOptions& planner, const PlanTextOptions& o,
              const LlmQuantizeOptions& how)
      : Planner(planner),
        o_(o),
        how_(how),
        model_(LanguageModel::Open(planner.model)),
        threads_(o.threads),
        stored_(StoredFormat(how)) {
    clock_.Begin("reading the text");
    auto windows = WindowsOf(TokenizerOf(planner.model), ReadFile(o.data), how.context,
                             how.windows + o.evaluation_windows);
    Require(windows.size() > how.windows || o.evaluation_windows == 0,
            "--evaluation-windows: ", o.data, " has ", windows.size(), " windows, ", how.windows,
            " of them to calibrate on");
    const auto middle = windows.begin() + static_cast<long>(std::min(how.windows, windows.size()));
    held_out_.assign(middle, windows.end());
    windows.erase(middle, windows.end());
    calibration_ = std::move(windows);
    report_.metric = "perplexity";
    report_.loss_name = "KL divergence";
    report_.higher_is_better = false;
  }

  void Run() {
    QuantizeAll();
    Measure();
    Choose();
    WritePlan();
    clock_.Begin("weighing the model");
    const PlanPoint chosen = Weigh(choice_.options, choice_.loss);
    CheckBudgets(chosen, NAN);
    if (!held_out_.empty()) {
      std::fprintf(out(), "%.3f bits a weight; on %zu held-out windows: KL %.5f, perplexity %.4f\n",
                   chosen.average_bits, held_out_.size(), chosen.output_loss, chosen.metric);
      MeasureFront();
    }
    Report();
  }

 private:
  struct Layer {
    std::string name;
    int64_t weights = 0;
    std::array<int64_t, 3> bytes{};  // of the file, by option
    std::array<double, 2> noise{};   // |dW|^2
    double power = 0;                // |W|^2
  };

  // Every linear layer in four bits.
  void QuantizeAll() {
    clock_.Begin("quantizing to four bits");
    LlmJob job = JobOf(how_, stored_);
    job.windows = calibration_;
    job.threads = threads_;
    const size_t per_block = LinearLayers(model_.Block(0)).size();
    Progress progress("quantizing", static_cast<size_t>(model_.config().layers) * per_block);
    job.layer_done = [&](const LayerOutcome&) { progress.Step(); };
    outcomes_ = QuantizeLanguageModel(model_, job, folder_.path() / "four");
    four_.emplace(LanguageModel::Open(folder_.path() / "four"));
  }

  // Q(W) - W of the coded options; what they cost is noted on the way.
  std::vector<Tensor> Deltas(const std::string& name, const Tensor& w) {
    const auto codes =
        ReadCodes(four_->checkpoint(), name, four_->config().quantization->format, w.shape());
    RequireFile(codes.has_value(), four_->path(), ": has no codes of ", name);
    const auto& groups = std::get<GroupCodes>(*codes);
    const RowCodes rows = RoundRows(w);
    std::vector<Tensor> deltas{Difference(groups.Dequantize(), w),
                               Difference(rows.Dequantize(), w)};
    facts_[name] = {name,
                    w.numel(),
                    {FileBytes(Packed(name, groups)), FileBytes(Packed(name, rows)),
                     FileBytes({ToBytes(name + ".weight", w)})},
                    {SquaredNorm(deltas[0]), SquaredNorm(deltas[1])},
                    SquaredNorm(w)};
    return deltas;
  }

  void Measure() {
    clock_.Begin("measuring sensitivity");
    TextSensitivityTask task;
    const size_t windows = std::min(o_.windows, calibration_.size());
    task.windows.assign(calibration_.begin(), calibration_.begin() + static_cast<long>(windows));
    task.probes = o_.probes;
    task.outputs = options_.front_points > 0 || options_.ranking == "auto-quantize";
    task.seed = o_.seed;
    task.threads = threads_;
    task.deltas = [&](const std::string& layer, const Tensor& w) { return Deltas(layer, w); };
    Progress progress("measuring sensitivity", TextSensitivitySteps(model_, windows));
    task.step = [&] { progress.Step(); };
    measured_ = MeasureTextSensitivity(model_, task);
    report_.sensitivity_samples = static_cast<int64_t>(windows);
    for (const LayerSensitivity& m : measured_) layers_.push_back(facts_.at(m.node));
    for (int64_t b = 0; b < model_.config().layers; ++b) {
      const Graph graph = model_.Block(b);
      for (const Node& node : graph.nodes)
        if (facts_.contains(node.name)) inputs_.push_back(Cat(b, " ", node.inputs[0]));
    }
  }

  std::vector<std::string> Rankings() const override {
    return {"fisher", "hawq", "auto-quantize", "sqnr"};
  }
  std::vector<std::string> UniformOptions() const override { return {"4bit", "int8"}; }

  std::vector<LayerChoices> LossesBy(const std::string& ranking) override {
    std::vector<LayerChoices> all;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const Layer& f = layers_[l];
      const LayerSensitivity& m = measured_[l];
      LayerChoices layer{f.name, {}, ""};
      for (size_t i = 0; i < 3; ++i) {
        const double loss = i == 2                       ? 0
                            : ranking == "fisher"        ? m.rows[i]
                            : ranking == "hawq"          ? m.trace / double(f.weights) * f.noise[i]
                            : ranking == "auto-quantize" ? m.outputs[i]
                                                         : f.noise[i] / f.power;
        const double bits = 8 * double(f.bytes[i]) / double(f.weights);
        layer.options.push_back({std::string(Name(kOptions[i])), bits, 0, {}, loss, false});
      }
      all.push_back(std::move(layer));
    }
    return all;
  }

  int64_t Cost(const std::string& budget, size_t l, size_t i) const override {
    if (budget == "size") return layers_[l].bytes[i];
    return layers_[l].weights * (i == 0 ? 4 * 8 : i == 1 ? 8 * 8 : 32 * 32);
  }
  int64_t Rest(const std::string& budget) const override {
    if (budget != "size") return 0;
    int64_t four = 0;
    for (const Layer& l : layers_) four += l.bytes[0];
    // headers are padded to eight bytes, and offsets may take a digit more
    const auto slack = static_cast<int64_t>(8 * (static_cast<size_t>(model_.config().layers) + 1) +
                                            16 * layers_.size());
    return QuantizedFolder(model_, folder_.path() / "four").Bytes() - four + slack;
  }
  double OfFloat(const std::string& budget) const override {
    double sum = 0;
    if (budget == "size")
      for (const auto& [name, t] : model_.checkpoint().tensors)
        sum += static_cast<double>(t.bytes.size());
    else
      for (const Layer& l : layers_) sum += 32.0 * 32 * static_cast<double>(l.weights);
    Require(budget != "latency",
            "--budget latency: the speed of a language model follows from its size; give that");
    return sum;
  }

  LlmPrecisions PrecisionsOf(const std::vector<size_t>& options) const {
    LlmPrecisions p;
    for (size_t l = 0; l < layers_.size(); ++l) p[layers_[l].name] = kOptions[options[l]];
    return p;
  }

  PlanPoint Weigh(const std::vector<size_t>& options, double predicted) override {
    PlanPoint p;
    p.predicted_loss = predicted;
    p.output_loss = p.metric = NAN;
    const fs::path folder = folder_.path() / "chosen";
    fs::remove_all(folder);
    ComposeLanguageModel(model_, *four_, PrecisionsOf(options), folder);
    p.bytes = static_cast<double>(QuantizedFolder(model_, folder).Bytes());
    double bits = 0, weights = 0;
    for (size_t l = 0; l < layers_.size(); ++l) {
      bits += 8 * static_cast<double>(layers_[l].bytes[options[l]]);
      weights += static_cast<double>(layers_[l].weights);
    }
    p.average_bits = bits / weights;
    if (held_out_.empty()) return p;
    const LanguageModel quantized = LanguageModel::Open(folder);
    if (!reference_) reference_ = ReadText(model_, held_out_, {threads_});
    const TextScore score =
        ScoreText(ReadText(quantized, held_out_, {threads_}), &*reference_, held_out_, threads_);
    p.output_loss = score.divergence->kl.value;
    p.metric = score.perplexity.value;
    return p;
  }

  void WritePlan() {
    LlmPlan plan{stored_, how_.float_head, PrecisionsOf(choice_.options), calibration_.size(),
                 outcomes_};
    for (LayerOutcome& l : plan.layers)
      if (plan.precisions.at(l.name) != LlmPrecision::kFourBits) l.error = NAN;
    WriteFile(options_.output, ToJson(plan));
    std::fprintf(out(), "wrote %s\n", options_.output.c_str());
  }

  void Report() {
    if (options_.report.empty() && !options_.json) return;
    report_.float_metric =
        reference_ ? ScoreText(*reference_, nullptr, held_out_, threads_).perplexity.value : NAN;
    report_.float_bytes = OfFloat("size");
    for (const Layer& l : layers_)
      report_.layers.push_back({l.name, "Gemm", double(l.weights), double(l.weights), {}, 0, ""});
    report_.calibration_samples = static_cast<int64_t>(calibration_.size());
    report_.evaluation_samples = static_cast<int64_t>(held_out_.size());
    FillReport(threads_.count());
    WriteReport();
  }

  const PlanTextOptions& o_;
  const LlmQuantizeOptions& how_;
  const LanguageModel model_;
  const Threads threads_;
  const LlmQuantization stored_;
  const TemporaryFolder folder_;
  std::vector<Window> calibration_, held_out_;
  std::vector<LayerOutcome> outcomes_;
  std::optional<LanguageModel> four_;
  std::map<std::string, Layer> facts_;
  std::vector<Layer> layers_;  // in the order of measured_
  std::vector<LayerSensitivity> measured_;
  std::optional<FinalStates> reference_;
};

}  // namespace

void PlanText(const PlannerOptions& planner, const PlanTextOptions& text,
              const LlmQuantizeOptions& how) {
  Require(!text.data.empty(), "--data is required: a text to calibrate on");
  TextPlanner(planner, text, how).Run();
}

}  // namespace mezzo
