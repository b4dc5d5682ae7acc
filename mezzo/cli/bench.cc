// mezzo bench: how long a model takes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <numeric>

#include "mezzo/cli/bench_text.h"
#include "mezzo/cli/commands.h"
#include "mezzo/cli/options.h"
#include "mezzo/import/llm/model.h"
#include "mezzo/report/measure.h"

namespace mezzo {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> shapes;
  ThreadOptions threads;
  int runs = 0;        // 0: 30, of language models 5
  double seconds = 0;  // if > 0: runs for so long, 5 at least
  int64_t prompt = 512, tokens = 64, depth = 0;
  std::string kv = "float";
  bool layers = false, json = false, reference = false;

  BenchTextOptions text() const {
    return {model, kv, prompt, tokens, depth, runs > 0 ? runs : 5, threads.threads};
  }
};

// Numbers that look like data: real ones from a sine, integers 1.
Tensor Filled(DType dtype, const Shape& shape) {
  if (dtype != DType::kFloat32)
    return Cast(Tensor::Of(std::vector<int64_t>(NumElements(shape), 1), shape), dtype);
  Tensor t(dtype, shape);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data<float>()[i] = std::sin(0.37f * static_cast<float>(i % 10007));
  return t;
}

void Run(const Options& o) {
  if (LanguageModel::Recognizes(o.model)) return BenchText(o.text(), o.json);
  const Stopwatch loading;
  const RunnableModel model = LoadRunnable(o.model);
  const Threads threads(o.threads.threads);
  const Session session(model.graph,
                        {threads, o.reference ? KernelSet::kReference : KernelSet::kFast});
  const double load_ns = loading.Seconds() * 1e9;
  const TensorMap inputs = ShapedInputs(model.model.graph, o.shapes, Filled);
  const Stopwatch first;
  session.Run(inputs);
  const double first_ns = first.Seconds() * 1e9;
  std::vector<double> runs;
  const Stopwatch all;
  const auto enough = [&] {
    const int done = static_cast<int>(runs.size());
    return o.seconds > 0 ? done >= 5 && all.Seconds() > o.seconds
                         : done >= (o.runs > 0 ? o.runs : 30);
  };
  while (!enough()) {
    const Stopwatch run;
    session.Run(inputs);
    runs.push_back(run.Seconds() * 1e9);
  }
  const auto count = static_cast<int>(runs.size());
  const double median = Median(runs), least = *std::min_element(runs.begin(), runs.end());
  nlohmann::ordered_json json{{"model", o.model},
                              {"quantized", model.quantized},
                              {"threads", threads.count()},
                              {"runs", count},
                              {"median_ms", median / 1e6},
                              {"min_ms", least / 1e6},
                              {"first_ms", first_ns / 1e6},
                              {"load_ms", load_ns / 1e6},
                              {"peak_memory_bytes", PeakMemoryBytes()}};
  std::vector<int64_t> sum(model.graph.nodes.size()), ns;
  if (o.layers) {
    for (int i = 0; i < count; ++i) {
      session.Profile(inputs, &ns);
      for (size_t k = 0; k < ns.size(); ++k) sum[k] += ns[k];
    }
    for (size_t k = 0; k < sum.size(); ++k)
      json["layers"].push_back({{"name", model.graph.nodes[k].name},
                                {"operator", model.graph.nodes[k].op_type},
                                {"ms", static_cast<double>(sum[k]) / count / 1e6}});
  }
  if (o.json) {
    std::printf("%s\n", json.dump(1).c_str());
    return;
  }
  std::printf(
      "%s (%s), %zu threads: median %s, min %s of %d runs; first %s, load %s, peak memory %s\n",
      o.model.c_str(), model.quantized ? "int8" : "float", threads.count(),
      Milliseconds(median).c_str(), Milliseconds(least).c_str(), count,
      Milliseconds(first_ns).c_str(), Milliseconds(load_ns).c_str(),
      Bytes(PeakMemoryBytes()).c_str());
  if (!o.layers) return;
  std::vector<size_t> order(sum.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return sum[a] > sum[b]; });
  const double total = static_cast<double>(std::accumulate(sum.begin(), sum.end(), int64_t{0}));
  for (const size_t k : order)
    if (static_cast<double>(sum[k]) > 0.002 * total)
      std::printf("%10s %5.1f%%  %-20s %s\n",
                  Milliseconds(static_cast<double>(sum[k]) / count).c_str(),
                  100 * static_cast<double>(sum[k]) / total, model.graph.nodes[k].op_type.c_str(),
                  model.graph.nodes[k].name.c_str());
}

}  // namespace

void AddBench(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("bench", "Latency, memory, per-layer times");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model, "ONNX model, float or QDQ; or a language model")->required();
  cmd->add_option("--shape", o->shapes,
                  "NAME=1,3,224,224 for inputs with unknown dimensions (default: 1 each)");
  o->threads.Add(*cmd);
  cmd->add_option("--seconds", o->seconds, "Networks: run for so long instead");
  cmd->add_option("--runs", o->runs, "Timed runs (default: 30; language models 5)")
      ->check(CLI::Range(1, 1000000));
  cmd->add_option("--prompt", o->prompt, "Language models: tokens read at once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd->add_option("--tokens", o->tokens, "Language models: tokens made one by one")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd->add_option("--depth", o->depth, "Language models: positions before the tokens made")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  cmd->add_option("--kv", o->kv, "Language models: keep keys and values in float, int8 or fp8")
      ->capture_default_str();
  cmd->add_flag("--layers", o->layers, "Time of each node");
  cmd->add_flag("--reference", o->reference, "The plain loops instead of the fast kernels");
  cmd->add_flag("--json", o->json);
  cmd->callback([o] { Run(*o); });
}

}  // namespace mezzo
