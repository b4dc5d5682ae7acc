#include "mezzo/cli/quantize_text.h"

#include <cstdio>
#include <optional>
#include <set>

#include "mezzo/algorithm/llm/job.h"
#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/evaluate_text.h"
#include "mezzo/cli/options.h"
#include "mezzo/evaluate/perplexity.h"

namespace mezzo {

LlmQuantization StoredFormat(const LlmQuantizeOptions& asked) {
  LlmQuantizeOptions o = asked;
  if (o.scheme == "nf4" || o.scheme == "int4") {
    Require(o.codes.empty() || o.codes == o.scheme, "--codes ", o.codes, " with --scheme ",
            o.scheme);
    o.codes = o.scheme;
    o.scheme = "w4a16";
  }
  LlmQuantization q;
  // Products of integers want codes that stand for integers.
  const std::string codes = !o.codes.empty() ? o.codes : o.scheme == "w4a8-int8" ? "nf4i" : "nf4";
  q.format = {FindCodebook(codes), o.group, o.zero_points, {}, o.double_quant};
  Require(q.format.codes != nullptr, "--codes: got ", codes, ", needs ", CodebookNames());
  Require(!o.zero_points || o.codes == "int4", "--zero-points needs --codes int4");
  Require(o.group > 0 && o.group % 2 == 0, "--group-size: got ", o.group,
          ", needs a positive even number");
  // Int8 needs scales for parts of a token, FP8 does not: docs/benchmarks.md.
  const int64_t usual = o.scheme == "w4a8-int8" ? o.group : 0;
  q.activation_group = o.activation_group < 0 ? usual : o.activation_group;
  if (o.scheme == "w4a8-fp8") {
    Require(o.fp8 == "e4m3fn" || o.fp8 == "e4m3fnuz", "--fp8: got ", o.fp8,
            ", needs e4m3fn or e4m3fnuz");
    q.format.fp8 = o.fp8 == "e4m3fn" ? kE4M3FN : kE4M3FNUZ;
    q.activations = "fp8";
  } else if (o.scheme == "w4a8-int8") {
    q.activations = "int8";
  } else {
    Require(o.scheme == "w4a16", "--scheme: got ", o.scheme,
            ", needs w4a8-fp8, w4a8-int8, w4a16, nf4 or int4 for a language model");
  }
  return q;
}

LanguageModel OpenToQuantize(const std::string& path, bool rotate) {
  const LanguageModel model = LanguageModel::Open(path);
  return rotate ? model.Rotated() : model;
}

LlmJob JobOf(const LlmQuantizeOptions& o, const LlmQuantization& stored) {
  LlmJob job;
  job.stored = stored;
  job.rounding = {stored.format, !o.no_reorder, !o.rtn, !o.no_search, o.damping};
  job.float_head = o.float_head;
  Require(o.recovery_rank >= 0 && o.alternations >= 0, "--recovery-rank ", o.recovery_rank,
          ", --alternations ", o.alternations, ": need numbers from 0 on");
  job.recovery = {o.recovery_rank, {}, o.alternations, PathFitOf(o.recovery_fit), {}};
  job.recovery.training.epochs = o.recovery_epochs;
  job.recovery.training.rate = o.recovery_rate;
  return job;
}

void LlmQuantizeOptions::Add(CLI::App& app) {
  app.add_option("--scheme", scheme,
                 "Language models: w4a8-fp8, w4a8-int8 or w4a16. All: nf4 or int4, weights in "
                 "groups of 64. Networks: int8")
      ->capture_default_str();
  app.add_option(
      "--codes", codes,
      "What four bits stand for: " + CodebookNames() + " (default: nf4i for w4a8-int8, else nf4)");
  app.add_option("--fp8", fp8, "What w4a8-fp8 rounds weights to: e4m3fn, e4m3fnuz")
      ->capture_default_str();
  app.add_flag("--float-head", float_head, "Embedding and head as they are, not in int8");
  app.add_flag("--rotate", rotate, "In a rotated basis, in which no channel is larger than others");
  app.add_option(
      "--group-size", group,
      "Inputs that share a scale (language models; default 64) or a step of their "
      "channel's scale (ONNX networks with --weights of fewer than 8 bits; default: none)");
  app.add_option("--activation-group", activation_group,
                 "Channels of an activation that share a scale (0: all; default: "
                 "--group-size for int8, all for fp8)");
  app.add_option("--context", context, "Tokens of a calibration window")->capture_default_str();
  app.add_option("--windows", windows, "Calibration windows")->capture_default_str();
  app.add_option("--damping", damping, "Of the Hessians' diagonals")->capture_default_str();
  app.add_flag("--zero-points", zero_points, "Asymmetric int4 codes");
  app.add_flag("--double-quant", double_quant,
               "Scales of groups in 8 bits, beside one for the layer");
  app.add_flag("--no-reorder", no_reorder, "Columns in the order they have");
  app.add_flag("--no-scale-search", no_search, "Scales from the largest weights");
  app.add_option("--recovery-rank", recovery_rank,
                 "Rank of a path in bfloat16 beside each layer (0: none)")
      ->capture_default_str();
  app.add_option("--alternations", alternations,
                 "Times that codes are made again for what their path leaves")
      ->capture_default_str();
  app.add_option("--recovery-fit", recovery_fit,
                 "What paths are fitted by: hessian, diagonal (powers of inputs alone) or unit")
      ->check(CLI::IsMember({"hessian", "diagonal", "unit"}))
      ->capture_default_str();
  app.add_option("--recovery-windows", recovery_windows,
                 "Samples that paths are trained on, end to end (0: no training). Language models: "
                 "windows spread over the text behind the calibration's, eight more judge; "
                 "networks: of the "
                 "calibration's, the last ones judge")
      ->capture_default_str();
  app.add_option("--recovery-epochs", recovery_epochs, "Times through these samples, at most")
      ->capture_default_str();
  app.add_option("--recovery-rate", recovery_rate,
                 "Step of the training, relative to the size of the matrices")
      ->capture_default_str();
  app.add_flag("--rtn", rtn, "Round to nearest, without error correction");
  PutInGroup(app, kForTexts,
             {"--codes", "--fp8", "--float-head", "--rotate", "--activation-group", "--context",
              "--windows", "--damping", "--zero-points", "--double-quant", "--no-reorder",
              "--no-scale-search", "--rtn"});
}

namespace {

void CheckLayers(const LanguageModel& model, const LlmPrecisions& precisions,
                 const std::string& plan) {
  std::set<std::string> names;
  for (int64_t b = 0; b < model.config().layers; ++b)
    for (const std::string& name : LinearLayers(model.Block(b))) names.insert(name);
  for (const auto& [name, p] : precisions)
    RequireFile(names.contains(name), plan, ": ", model.path(), " has no linear layer ", name);
}

constexpr size_t kJudges = 8;  // windows that training is judged on

// The text's first windows calibrate. Those that train the paths, and the eight that judge that,
// lie at equal distances in the rest of it: neighbours say the same things.
void SetWindows(const LlmQuantizeOptions& o, const Tokenizer& tokenizer, const std::string& text,
                LlmJob& job) {
  const bool paths = o.recovery_rank > 0 || !job.recovery.ranks.empty();
  const size_t train = paths ? o.recovery_windows : 0;
  job.windows = WindowsOf(tokenizer, text, o.context, train > 0 ? 0 : o.windows);
  if (train == 0) return;
  const size_t asked = train + kJudges;
  Require(job.windows.size() >= o.windows + asked, "--recovery-windows ", train, ": the text has ",
          job.windows.size(), " windows, needs ", o.windows, " to calibrate and ", kJudges,
          " to judge beside them");
  const size_t rest = job.windows.size() - o.windows;
  for (size_t i = 0; i < asked; ++i) {
    const bool judges = i * kJudges / asked != (i + 1) * kJudges / asked;
    TextTraining& t = job.recovery.training;
    (judges ? t.held_out : t.windows).push_back(job.windows[o.windows + i * rest / asked]);
  }
  job.windows.resize(o.windows);
}

}  // namespace

void QuantizeText(const LlmQuantizeOptions& o, const std::string& path, const std::string& output,
                  const std::string& data, const std::string& plan_path, size_t threads,
                  double memory_limit, bool json) {
  FILE* const steps = json ? stderr : stdout;
  Require(!data.empty(), "--data is required: a text to calibrate on");
  std::optional<LlmPlan> plan;
  if (!plan_path.empty()) plan = ReadLlmPlan(plan_path);
  const LanguageModel model = OpenToQuantize(path, plan ? plan->rotated : o.rotate);
  const Tokenizer tokenizer = TokenizerOf(path);
  LlmJob job = JobOf(o, plan ? plan->stored : StoredFormat(o));
  job.threads = Threads(threads);
  if (plan) {
    job.float_head = plan->float_head;
    job.precisions = plan->precisions;
    job.recovery.ranks = plan->ranks;
    CheckLayers(model, job.precisions, plan_path);
  }
  SetWindows(o, tokenizer, ReadFile(data), job);
  const double estimate = EstimateMemory(model, job);
  std::fprintf(steps, "%s, %zu windows of %zu tokens; memory: at most about %s\n",
               model.config().architecture.c_str(), job.windows.size(), o.context,
               Bytes(estimate).c_str());
  Require(memory_limit == 0 || estimate <= memory_limit, "--memory: about ", Bytes(estimate),
          " are needed; fewer --windows need less");
  std::fflush(steps);
  const auto blocks = static_cast<size_t>(model.config().layers);
  const size_t per_block = LinearLayers(model.Block(0)).size();
  Progress progress("quantizing", blocks * per_block);
  job.layer_done = [&](const LayerOutcome&) { progress.Step(); };
  job.resumed = [&](int64_t done) {
    std::fprintf(steps, "going on after %lld blocks\n", static_cast<long long>(done));
    progress.Step(static_cast<size_t>(done) * per_block);
  };
  TextTraining& training = job.recovery.training;
  Progress trained("training paths", training.windows.size() * training.epochs);
  training.step = [&] { trained.Step(); };
  training.epoch_done = [&](size_t epoch, double loss) {
    std::fprintf(steps, "paths %s: KL divergence of held-out windows %.4f\n",
                 epoch ? Cat("after epoch ", epoch).c_str() : "untrained", loss);
  };
  const auto layers = QuantizeLanguageModel(model, job, output);
  double worst = 0, sum = 0;
  const LayerOutcome* at = nullptr;
  for (const LayerOutcome& l : layers) {
    sum += l.error;
    if (l.error >= worst) worst = l.error, at = &l;
  }
  std::fprintf(steps, "%zu layers, noise of their outputs %.2f%% on average, at most %.2f%% (%s)\n",
               layers.size(), 100 * sum / static_cast<double>(layers.size()), 100 * worst,
               at->name.c_str());
  const GroupFormat& format = job.stored.format;
  std::fprintf(steps, "%s codes of %.4g bits a weight\n", std::string(format.codes->name).c_str(),
               format.BitsPerWeight());
  std::fprintf(steps, "wrote %s\n", output.c_str());
  if (json) std::printf("%s\n", ReadFile(std::filesystem::path(output) / "plan.json").c_str());
}

}  // namespace mezzo
