// mezzo compare: two models layer by layer.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "mezzo/cli/commands.h"
#include "mezzo/cli/options.h"
#include "mezzo/evaluate/layers.h"

namespace mezzo {
namespace {

struct Options {
  std::string a, b;
  DataOptions data;
  ThreadOptions threads;
  size_t samples = 32;
  bool json = false;
};

void Run(const Options& o) {
  const RunnableModel a = LoadRunnable(o.a), b = LoadRunnable(o.b);
  const auto dataset = o.data.Open(a.model.graph);
  const auto samples = DrawSamples(*dataset, o.samples, o.data.seed);
  const LayerComparison c =
      CompareLayers(a.model.graph, b.model.graph, *dataset, samples, Threads(o.threads.threads));
  if (o.json) {
    nlohmann::ordered_json json{{"a", o.a}, {"b", o.b}, {"samples", samples.size()}};
    for (const LayerDifference& l : c.layers)
      json["layers"].push_back({{"value", l.value},
                                {"sqnr_db", l.sqnr_db},
                                {"cosine", l.cosine},
                                {"max_error", l.max_error}});
    for (const SampleScore& s : c.samples)
      json["samples_by_sqnr"].push_back({{"name", s.name}, {"sqnr_db", s.score}});
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  std::printf("%-48s %9s %9s %12s\n", "value", "SQNR dB", "cosine", "max error");
  for (const LayerDifference& l : c.layers)
    std::printf("%-48s %9.2f %9.6f %12.4g\n", l.value.c_str(), l.sqnr_db, l.cosine, l.max_error);
  std::printf("worst samples by SQNR of the outputs:\n");
  for (size_t i = 0; i < std::min<size_t>(5, c.samples.size()); ++i)
    std::printf("  %-46s %9.2f\n", c.samples[i].name.c_str(), c.samples[i].score);
}

}  // namespace

void AddCompare(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "compare", "Two models layer by layer: signal-to-noise, cosine, worst samples");
  auto o = std::make_shared<Options>();
  cmd->add_option("a", o->a, "ONNX model, taken as the truth")->required();
  cmd->add_option("b", o->b, "ONNX model")->required();
  o->data.Add(*cmd, true);
  o->threads.Add(*cmd);
  cmd->add_option("--samples", o->samples, "Use so many, drawn by --seed (0: all)")
      ->capture_default_str();
  cmd->add_flag("--json", o->json);
  cmd->callback([o] { Run(*o); });
}

}  // namespace mezzo
