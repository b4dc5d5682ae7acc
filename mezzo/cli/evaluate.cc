// mezzo evaluate: a model's figure on data.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mezzo/base/progress.h"
#include "mezzo/cli/commands.h"
#include "mezzo/cli/evaluate_text.h"
#include "mezzo/cli/options.h"

namespace mezzo {
namespace {

struct Options {
  std::string model, reference, kv = "auto";
  DataOptions data;
  ThreadOptions threads;
  size_t samples = 0, context = 512, windows = 0;
  bool json = false;
};

void Run(const Options& o) {
  const RunnableModel model = LoadRunnable(o.model);
  std::optional<RunnableModel> reference;
  if (!o.reference.empty()) reference = LoadRunnable(o.reference);
  const auto dataset = o.data.Open(model.model.graph);
  const std::string metric =
      o.data.task.empty() && reference ? "agreement" : o.data.MetricName(*dataset);
  const auto samples = DrawSamples(*dataset, o.samples, o.data.seed);
  Evaluator evaluator(*dataset, samples, metric, o.data.Metric(model.model),
                      reference ? &reference->graph : nullptr, Threads(o.threads.threads));
  Progress progress("evaluating", samples.size());
  const MetricResult r = evaluator.Run(model.graph, [&] { progress.Step(); }).result;
  if (o.json) {
    nlohmann::ordered_json json{{"model", o.model}, {"metric", r.name},
                                {"value", r.value}, {"standard_error", r.standard_error},
                                {"samples", r.n},   {"details", r.details}};
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  std::printf("%s %.6g +- %.2g on %zu samples", r.name.c_str(), r.value, r.standard_error, r.n);
  for (const auto& [name, value] : r.details) std::printf(", %s %.6g", name.c_str(), value);
  std::printf("\n");
}

}  // namespace

void AddEvaluate(CLI::App& app) {
  CLI::App* cmd =
      app.add_subcommand("evaluate", "Accuracy on data, or agreement with a reference model");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model,
                  "ONNX model, float or QDQ; or a language model: Hugging Face folder, .gguf, "
                  "llama2.c .bin")
      ->required();
  o->data.Add(*cmd, true);
  o->threads.Add(*cmd);
  cmd->add_option("--reference", o->reference, "The float model, for agreement, sqnr and kl");
  cmd->add_option("--samples", o->samples, "Use so many, drawn by --seed (0: all)")
      ->capture_default_str();
  cmd->add_option("--context", o->context, "Tokens of a window")->capture_default_str();
  cmd->add_option("--windows", o->windows, "Use the first so many (0: all)")->capture_default_str();
  AddKvOption(*cmd, o->kv);
  cmd->add_flag("--json", o->json);
  PutInGroup(*cmd, kForNetworks, {"--samples"});
  PutInGroup(*cmd, kForTexts, {"--context", "--windows"});
  cmd->callback([o, cmd] {
    if (!IsLanguageModel(*cmd, o->model)) return Run(*o);
    EvaluateText({o->model, o->reference, o->data.data, o->kv, o->context, o->windows,
                  o->threads.threads, o->json});
  });
}

}  // namespace mezzo
