#include "mezzo/cli/plan_text.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "mezzo/algorithm/llm/job.h"
#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/algorithm/llm/text_sensitivity.h"
#include "mezzo/algorithm/recovery/low_rank_fit.h"
#include "mezzo/algorithm/sensitivity/rankings.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/evaluate_text.h"
#include "mezzo/cli/options.h"
#include "mezzo/evaluate/perplexity.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/shards.h"
#include "mezzo/tensor/arithmetic.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

// What a layer may be. Four bits come first, float last.
struct LayerKind {
  LlmPrecision precision;
  int64_t rank;
  std::string name;
};

std::vector<LayerKind> Kinds(const std::vector<int64_t>& ranks) {
  std::vector<LayerKind> kinds{{LlmPrecision::kFourBits, 0, "4bit"}};
  for (const int64_t r : ranks) kinds.push_back({LlmPrecision::kFourBits, r, Cat("4bit+r", r)});
  for (const LlmPrecision p : {LlmPrecision::kInt8, LlmPrecision::kFloat})
    kinds.push_back({p, 0, std::string(Name(p))});
  return kinds;
}

// What tensors add to a safetensors file; offsets, whose digits depend on what is before them, with
// as many as can be.
int64_t FileBytes(const std::vector<TensorBytes>& tensors) {
  int64_t sum = 0;
  for (const TensorBytes& t : tensors) {
    sum += static_cast<int64_t>(t.bytes.size());
    sum += static_cast<int64_t>(t.spec.name.size() + Cat(ToString(t.spec.shape)).size()) + 64;
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
        model_(OpenToQuantize(planner.model, how.rotate)),
        threads_(o.threads),
        stored_(StoredFormat(how)),
        kinds_(Kinds(o.ranks)) {
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
    FindLayers();
    CheckFeasible();
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
    int64_t inputs_and_outputs = 0;
    double power = 0;            // |W|^2
    std::vector<int64_t> bytes;  // of the files, by kind
    std::vector<double> noise;   // |dW|^2
  };

  // Every linear layer in four bits, with a path of the highest rank; its first columns are those
  // of lower ones.
  void QuantizeAll() {
    clock_.Begin("quantizing to four bits");
    LlmJob job = JobOf(how_, stored_);
    job.windows = calibration_;
    job.threads = threads_;
    job.recovery.rank = o_.ranks.empty() ? 0 : o_.ranks.back();
    job.recovery.alternations = 0;
    const size_t per_block = LinearLayers(model_.Block(0)).size();
    Progress progress("quantizing", static_cast<size_t>(model_.config().layers) * per_block);
    job.layer_done = [&](const LayerOutcome&) { progress.Step(); };
    outcomes_ = QuantizeLanguageModel(model_, job, folder_.path() / "four");
    four_.emplace(LanguageModel::Open(folder_.path() / "four"));
  }

  GroupCodes FourBits(const std::string& name, const Shape& shape) const {
    auto codes = ReadCodes(four_->checkpoint(), name, four_->config().quantization->format, shape);
    RequireFile(codes.has_value(), four_->path(), ": has no codes of ", name);
    return std::get<GroupCodes>(*std::move(codes));
  }

  // Q(W) - W of the coded kinds.
  std::vector<Tensor> Deltas(const std::string& name, const Tensor& w) const {
    const Tensor four = Difference(FourBits(name, w.shape()).Dequantize(), w);
    std::vector<Tensor> deltas;
    for (const LayerKind& kind : kinds_) {
      if (kind.precision == LlmPrecision::kFloat) break;
      const bool eight = kind.precision == LlmPrecision::kInt8;
      deltas.push_back(eight ? Difference(RoundRows(w).Dequantize(), w) : four);
      if (kind.rank == 0) continue;
      deltas.back() = Sum(four, Product(Truncated(four_->paths().at(name), kind.rank), threads_));
    }
    return deltas;
  }

  int64_t StoredBytes(const std::string& name, const Tensor& w, const LayerKind& kind) const {
    if (kind.precision == LlmPrecision::kFloat) return FileBytes({ToBytes(name + ".weight", w)});
    if (kind.precision == LlmPrecision::kInt8) return FileBytes(Packed(name, RoundRows(w)));
    const int64_t codes = FileBytes(Packed(name, FourBits(name, w.shape())));
    if (kind.rank == 0) return codes;
    return codes + FileBytes(PathTensors({{name, Truncated(four_->paths().at(name), kind.rank)}}));
  }

  void FindLayers() {
    for (int64_t b = 0; b < model_.config().layers; ++b) {
      const Graph graph = model_.Block(b);
      const std::vector<std::string> names = LinearLayers(graph);
      for (const Node& node : graph.nodes) {
        if (std::find(names.begin(), names.end(), node.name) == names.end()) continue;
        const Tensor& w = graph.initializers.at(node.inputs[1]);
        inputs_.push_back(Cat(b, " ", node.inputs[0]));
        Layer f{node.name, w.numel(), w.dim(0) + w.dim(1), SquaredNorm(w), {}, {}};
        for (const LayerKind& kind : kinds_) f.bytes.push_back(StoredBytes(node.name, w, kind));
        for (const Tensor& delta : Deltas(node.name, w)) f.noise.push_back(SquaredNorm(delta));
        layers_.push_back(std::move(f));
      }
    }
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
  }

  std::vector<std::string> Rankings() const override {
    return {"fisher", "hawq", "auto-quantize", "sqnr"};
  }
  std::vector<std::string> UniformOptions() const override {
    std::vector<std::string> names;
    for (const LayerKind& kind : kinds_)
      if (kind.precision != LlmPrecision::kFloat) names.push_back(kind.name);
    return names;
  }

  double Loss(const std::string& ranking, size_t l, size_t i) const {
    const Layer& f = layers_[l];
    if (ranking == "sqnr") return f.noise[i] / f.power;
    if (ranking == "fisher") return measured_[l].rows[i];
    if (ranking == "auto-quantize") return measured_[l].outputs[i];
    return measured_[l].trace / static_cast<double>(f.weights) * f.noise[i];
  }

  std::vector<LayerChoices> LossesBy(const std::string& ranking) override {
    std::vector<LayerChoices> all;
    for (size_t l = 0; l < layers_.size(); ++l) {
      const Layer& f = layers_[l];
      LayerChoices layer{f.name, {}, ""};
      for (size_t i = 0; i < kinds_.size(); ++i) {
        const double loss = i + 1 == kinds_.size() ? 0 : Loss(ranking, l, i);
        const double bits = 8 * double(f.bytes[i]) / double(f.weights);
        layer.options.push_back({kinds_[i].name, bits, 0, {}, loss, false});
      }
      all.push_back(std::move(layer));
    }
    return all;
  }

  int64_t Cost(const std::string& budget, size_t l, size_t i) const override {
    const Layer& f = layers_[l];
    if (budget == "size") return f.bytes[i];
    const LlmPrecision p = kinds_[i].precision;
    const int64_t bits = p == LlmPrecision::kFourBits ? 4 * 8
                         : p == LlmPrecision::kInt8   ? 8 * 8
                                                      : 32 * 32;
    return f.weights * bits + kinds_[i].rank * f.inputs_and_outputs * 16 * 32;
  }
  int64_t Rest(const std::string& budget) const override {
    if (budget != "size") return 0;
    int64_t four = 0;
    for (const Layer& l : layers_) four += l.bytes[kinds_.size() - 3];  // with the highest rank
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
    for (size_t l = 0; l < layers_.size(); ++l) p[layers_[l].name] = kinds_[options[l]].precision;
    return p;
  }
  LlmRanks RanksOf(const std::vector<size_t>& options) const {
    LlmRanks r;
    for (size_t l = 0; l < layers_.size(); ++l)
      if (kinds_[options[l]].rank > 0) r[layers_[l].name] = kinds_[options[l]].rank;
    return r;
  }

  PlanPoint Weigh(const std::vector<size_t>& options, double predicted) override {
    PlanPoint p;
    p.predicted_loss = predicted;
    p.output_loss = p.metric = NAN;
    const fs::path folder = folder_.path() / "chosen";
    fs::remove_all(folder);
    ComposeLanguageModel(model_, *four_, PrecisionsOf(options), RanksOf(options), folder);
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
    LlmPlan plan{stored_,
                 how_.float_head,
                 how_.rotate,
                 PrecisionsOf(choice_.options),
                 RanksOf(choice_.options),
                 calibration_.size(),
                 outcomes_};
    for (LayerOutcome& l : plan.layers)
      if (plan.precisions.at(l.name) != LlmPrecision::kFourBits || !o_.ranks.empty()) l.error = NAN;
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
  const std::vector<LayerKind> kinds_;
  const TemporaryFolder folder_;
  std::vector<Window> calibration_, held_out_;
  std::vector<LayerOutcome> outcomes_;
  std::optional<LanguageModel> four_;
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
