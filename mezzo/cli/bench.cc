// mezzo bench: how long a model takes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include "mezzo/base/files.h"
#include "mezzo/cli/bench_text.h"
#include "mezzo/cli/commands.h"
#include "mezzo/cli/options.h"
#include "mezzo/report/bench_report.h"
#include "mezzo/report/measure.h"
#include "mezzo/runtime/macs.h"

namespace mezzo {
namespace {

struct Options {
  std::string model, report;
  std::vector<std::string> shapes;
  ThreadOptions threads;
  int runs = 0;        // 0: 30, of language models 5
  double seconds = 0;  // if > 0: runs for so long, 5 at least
  int64_t prompt = 512, tokens = 64, depth = 0;
  std::string kv = "auto";
  bool layers = false, json = false, reference = false;

  bool by_layer() const { return layers || !report.empty(); }
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

struct Times {
  std::vector<double> runs;                // nanoseconds of each
  std::vector<std::vector<double>> nodes;  // of each node the same, if layers are asked for
};

// Runs so often, or so long, as asked. Between them come the runs in which nodes are timed: apart,
// so that clocks are not read in the others, and in turns, so that both see the same machine.
Times TimedRuns(const Options& o, const Session& session, const TensorMap& inputs) {
  Times times;
  const Stopwatch all;
  const auto enough = [&] {
    const int done = static_cast<int>(times.runs.size());
    return o.seconds > 0 ? done >= 5 && all.Seconds() > o.seconds
                         : done >= (o.runs > 0 ? o.runs : 30);
  };
  std::vector<int64_t> ns;
  while (!enough()) {
    const Stopwatch run;
    session.Run(inputs);
    times.runs.push_back(run.Seconds() * 1e9);
    if (!o.by_layer()) continue;
    session.Profile(inputs, &ns);
    times.nodes.resize(ns.size());
    for (size_t k = 0; k < ns.size(); ++k) times.nodes[k].push_back(static_cast<double>(ns[k]));
  }
  return times;
}

BenchLayer Layer(const Node& node, const NodeWork& work, const LowerReport& lowered) {
  BenchLayer l;
  l.node = node.name, l.op = node.op_type;
  const auto replaced = lowered.replaced.find(FirstOutput(node));
  if (replaced == lowered.replaced.end())
    l.replaces = {{node.name, node.op_type}};
  else
    for (const LowerReport::Source& s : replaced->second)
      l.replaces.emplace_back(s.node, s.op_type);
  l.shape = work.shape;
  l.type = Name(work.dtype);
  l.integer = node.domain == "mezzo";
  l.macs = static_cast<double>(work.macs);
  l.bytes = static_cast<double>(work.bytes);
  return l;
}

void AddLayers(const RunnableModel& model, const Session& session, const TensorMap& inputs,
               const Times& times, BenchReport& report) {
  const std::vector<Node>& nodes = model.graph.nodes;
  const std::vector<NodeWork> work = MeasureWork(model.graph, session, inputs);
  for (size_t k = 0; k < nodes.size(); ++k) {
    BenchLayer l = Layer(nodes[k], work[k], model.lowered);
    l.ms = Median(times.nodes[k]) / 1e6;
    l.roofline_ms = 1e3 * RooflineSeconds(report.peak, l.integer, l.macs, l.bytes);
    report.layers.push_back(std::move(l));
  }
}

BenchReport Measure(const Options& o) {
  const Stopwatch loading;
  const RunnableModel model = LoadRunnable(o.model);
  const Threads threads(o.threads.threads);
  const Session session(model.graph,
                        {threads, o.reference ? KernelSet::kReference : KernelSet::kFast});
  BenchReport r;
  r.load_ms = loading.Seconds() * 1e3;
  r.model = o.model;
  r.quantized = model.quantized;
  r.threads = threads.count();
  r.cpu = CpuName();
  const TensorMap inputs = ShapedInputs(model.model.graph, o.shapes, Filled);
  const Stopwatch first;
  session.Run(inputs);
  r.first_ms = first.Seconds() * 1e3;
  const Times times = TimedRuns(o, session, inputs);
  r.runs = static_cast<int>(times.runs.size());
  r.median_ms = Median(times.runs) / 1e6;
  r.min_ms = *std::ranges::min_element(times.runs) / 1e6;
  r.peak_memory_bytes = PeakMemoryBytes();  // before the machine is measured, which takes more
  if (o.by_layer()) {
    r.peak = MeasurePeak(threads);
    AddLayers(model, session, inputs, times, r);
  }
  return r;
}

void Run(const Options& o) {
  const BenchReport r = Measure(o);
  if (!o.report.empty()) {
    WriteFile(o.report, ToHtml(r));
    WriteFile(std::filesystem::path(o.report).replace_extension(".json"), ToJson(r));
  }
  if (o.json)
    std::printf("%s\n", ToJson(r).c_str());
  else
    std::printf(
        "%s (%s), %zu threads: median %s, min %s of %d runs; first %s, load %s, peak memory %s\n%s",
        r.model.c_str(), r.quantized ? "int8" : "float", r.threads,
        Milliseconds(r.median_ms * 1e6).c_str(), Milliseconds(r.min_ms * 1e6).c_str(), r.runs,
        Milliseconds(r.first_ms * 1e6).c_str(), Milliseconds(r.load_ms * 1e6).c_str(),
        Bytes(r.peak_memory_bytes).c_str(), o.layers ? ToText(r).c_str() : "");
  if (!o.report.empty()) std::fprintf(o.json ? stderr : stdout, "report: %s\n", o.report.c_str());
}

}  // namespace

void AddBench(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("bench", "Latency, memory; time and work by layer");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model, "ONNX model, float or QDQ; or a language model")->required();
  cmd->add_option("--shape", o->shapes,
                  "NAME=1,3,224,224 for inputs with unknown dimensions (default: 1 each)");
  o->threads.Add(*cmd);
  cmd->add_option("--seconds", o->seconds, "Run for so long instead");
  cmd->add_option("--runs", o->runs, "Timed runs (default: 30; language models 5)")
      ->check(CLI::Range(1, 1000000));
  cmd->add_option("--prompt", o->prompt, "Tokens read at once")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd->add_option("--tokens", o->tokens, "Tokens made one by one")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  cmd->add_option("--depth", o->depth, "Positions before the tokens made")
      ->capture_default_str()
      ->check(CLI::NonNegativeNumber);
  AddKvOption(*cmd, o->kv);
  cmd->add_flag("--layers", o->layers, "Time, work and share of the machine's peak of each node");
  cmd->add_option("--report", o->report, "The same as one HTML page; its JSON goes beside it");
  cmd->add_flag("--reference", o->reference, "The plain loops instead of the fast kernels");
  cmd->add_flag("--json", o->json);
  PutInGroup(*cmd, kForNetworks, {"--shape", "--seconds", "--layers", "--report", "--reference"});
  PutInGroup(*cmd, kForTexts, {"--prompt", "--tokens", "--depth"});
  cmd->callback(
      [o, cmd] { IsLanguageModel(*cmd, o->model) ? BenchText(o->text(), o->json) : Run(*o); });
}

}  // namespace mezzo
