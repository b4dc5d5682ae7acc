// mezzo quantize: a float model and samples in; an INT8 model, its Plan and a report out.
#include <malloc.h>

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <tuple>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/algorithm/int8_workflow.h"
#include "mezzo/algorithm/pack_weights.h"
#include "mezzo/algorithm/sites.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/commands.h"
#include "mezzo/cli/int8_setup.h"
#include "mezzo/cli/quantize_text.h"
#include "mezzo/evaluate/layers.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/import/onnx_writer.h"
#include "mezzo/report/measure.h"
#include "mezzo/report/report.h"
#include "mezzo/runtime/lower.h"

namespace mezzo {
namespace {

struct Options {
  std::string model, output, plan, report, calibration = "auto", activations = "uint8",
                                           tolerance = "1%", memory, weights = "int8",
                                           tables = "int8";
  std::vector<std::string> exclude;
  size_t samples = 0, evaluation_samples = 0;
  int64_t group_size = 0;
  bool full_range_weights = false, no_refine = false, no_equalization = false,
       no_error_correction = false, no_bias_correction = false, json = false;
  DataOptions data;
  ThreadOptions threads;
  LlmQuantizeOptions llm;
};

constexpr size_t kJudges = 16;  // at least, to judge training on

double ParseTolerance(const std::string& text) {
  char* end;
  double v = std::strtod(text.c_str(), &end);
  const bool percent = *end == '%';
  Require(end != text.c_str() && !end[percent] && v >= 0, "--tolerance: got ", text,
          ", needs a share like 1% or 0.01");
  return percent ? v / 100 : v;
}

using Paths = std::vector<std::filesystem::path>;

std::string PlanPath(const std::string& output) {
  return std::filesystem::path(output).replace_extension(".plan.json").string();
}

// Replays a Plan: no data needed.
void Replay(const Options& o) {
  Require(!o.json, "--json says what was measured; --plan measures nothing");
  Paths files;
  const Model model = ReadOnnx(o.model, &files);
  const Plan plan = ReadPlan(o.plan);
  const std::string hash = HashFiles(files);
  RequireFile(plan.model_hash == hash, o.plan, ": was made for a model with hash ", plan.model_hash,
              "; ", o.model, " has ", hash);
  Model quantized = ApplyPlan(PrepareFor(model, plan), plan);
  PackWeights(quantized, plan);
  WriteOnnx(quantized, o.output);
  std::printf("wrote %s by %s\n", o.output.c_str(), o.plan.c_str());
}

// The first calibration samples train paths, the last ones judge.
NetworkTraining TrainingOf(const Options& o, size_t samples) {
  NetworkTraining training;
  const size_t train = o.llm.recovery_windows, judges = std::max(kJudges, train / 4);
  if (o.llm.recovery_rank == 0 || train == 0) return training;
  Require(train + judges <= samples, "--recovery-windows ", train, ": there are ", samples,
          " calibration samples, needs ", judges, " to judge beside them");
  training.samples = train;
  training.held_out = judges;
  training.first_held_out = samples - judges;
  training.epochs = o.llm.recovery_epochs;
  training.rate = o.llm.recovery_rate;
  training.state = o.output + ".training";
  return training;
}

// All values of a run: the float one's five times, for codes, their values, paths and sums beside
// them and the gradients on their way.
double TrainingBytes(const Graph& graph, const TensorMap& inputs) {
  double bytes = 0;
  Session(graph, {}).Run(inputs, [&](const Node&, size_t, Tensor& value) {
    bytes += 5 * static_cast<double>(value.bytes());
  });
  return bytes;
}

// What quantization will take at its peak: what is there now, a run's values and a histogram set
// for each thread, the weights in two more forms, the tuning samples, and as much again for moments
// or for samples in lockstep. The largest of the first samples stands for all.
double EstimateMemory(const Model& prepared, const Dataset& dataset, const Int8Options& options,
                      bool report) {
  std::set<std::string> names;
  for (const ComputeNode& c : FindComputeNodes(prepared.graph))
    names.insert(prepared.graph.nodes[c.index].name);
  std::set<std::string> roots;
  for (const auto& [value, root] : FindSites(prepared.graph, names).root) roots.insert(root);
  TensorMap largest;
  for (size_t i = 0; i < std::min<size_t>(16, dataset.size()); ++i)
    if (TensorMap inputs = dataset.Get(i).inputs; BytesOf(inputs) > BytesOf(largest))
      largest = std::move(inputs);
  std::vector<Tensor> outputs;
  auto run = static_cast<double>(PeakOfRun(Session(prepared.graph, {}), largest, &outputs));
  if (report) run += kCompareBytes;
  const double t = static_cast<double>(options.threads.count());
  size_t sample = BytesOf(largest);
  for (const Tensor& out : outputs) sample += out.bytes();
  if (options.training.samples > 0) run += TrainingBytes(prepared.graph, largest);
  const size_t tuning = std::min(options.tuning_bytes + sample, options.tuning_samples * sample);
  return ResidentBytes() +
         t * (run + static_cast<double>(roots.size() * Histogram::MemoryBytes())) +
         static_cast<double>(tuning + options.moment_bytes +
                             2 * BytesOf(prepared.graph.initializers));
}

// What a run has at hand when it is to say what it did.
struct Setting {
  const Options& o;
  Int8Setup& setup;
  StageClock& clock;
  std::FILE* out;  // for people
};

// What only the page shows: both models sample by sample, layer by layer, and their latency.
void MeasureForPage(const Setting& s, const Int8Result& result, ReportMeasurements& m) {
  const Graph int8 = LowerToIntegers(result.quantized.graph, nullptr);
  s.clock.Begin("measuring latency");
  const Int8Setup& run = s.setup;
  std::tie(m.float_ms, m.int8_ms) =
      MedianLatencies(Session(result.prepared.graph, {run.threads}), Session(int8, {run.threads}),
                      run.dataset->Get(run.split.evaluation[0]).inputs);
  s.clock.Begin("comparing with float");
  // Values of all sizes come and go from here on: pieces that the allocator kept would add up.
  mallopt(M_MMAP_THRESHOLD, 1 << 18);
  malloc_trim(0);
  m.float_evaluation = s.setup.evaluator->Run(result.prepared.graph);
  m.int8_evaluation = s.setup.evaluator->Run(int8);
  const std::vector<size_t>& held_out = run.split.evaluation;
  const std::vector<size_t> some(held_out.begin(),
                                 held_out.begin() + std::min<size_t>(64, held_out.size()));
  m.layers =
      CompareLayers(result.prepared.graph, result.quantized.graph, *run.dataset, some, run.threads);
}

// --report: the page of what was tried and measured, and its JSON beside it. --json: the head of
// that JSON, with what is known without further measurements.
void Report(const Setting& s, const Int8Result& result, const Paths& written) {
  const Options& o = s.o;
  ReportMeasurements m;
  m.model = o.model;
  m.output = o.output;
  m.int8_evaluation.result.higher_is_better = s.setup.evaluator->higher_is_better();
  m.float_ms = m.int8_ms = m.int8_evaluation.result.standard_error = std::nan("");
  if (!o.report.empty()) MeasureForPage(s, result, m);
  m.float_bytes = SizeOfFiles(s.setup.files);
  m.int8_bytes = SizeOfFiles(written);
  m.threads = s.setup.threads.count();
  m.cpu = CpuName();
  m.stages = s.clock.Stages();
  m.peak_memory_bytes = PeakMemoryBytes();
  const Int8Report report = MakeReport(result, m);
  if (!o.report.empty()) {
    WriteFile(o.report, ToHtml(report));
    WriteFile(std::filesystem::path(o.report).replace_extension(".json"), ToJson(report));
    std::fprintf(s.out, "report: %s\n", o.report.c_str());
  }
  if (o.json) std::printf("%s\n", ToSummaryJson(report).c_str());
}

void PrintPlan(const Int8Result& r, std::FILE* out) {
  int floats = 0;
  for (const auto& [name, node] : r.plan.nodes) floats += !node.quantized;
  if (floats) std::fprintf(out, "stays float:\n");
  for (const auto& [name, node] : r.plan.nodes)
    if (!node.quantized) std::fprintf(out, "  %s: %s\n", name.c_str(), node.reason.c_str());
  for (const std::string& note : r.plan.notes) std::fprintf(out, "note: %s\n", note.c_str());
}

void Run(const Options& o) {
  StageClock clock;
  clock.Begin("reading the model");
  std::FILE* const out = o.json ? stderr : stdout;  // for people; with --json, stdout holds that
  if (!o.plan.empty()) return Replay(o);
  Require(!o.data.data.empty(), "quantize needs --data (or --plan to replay)");
  AtomicWriter output_probe(o.output);  // an unwritable place is found now, not after the work
  Int8Setup setup(o.model, o.data, o.samples, o.evaluation_samples, o.threads.threads);

  Int8Options options;
  options.activations = o.activations == "int8" ? IntFormat{8, true, false} : kUInt8;
  options.calibration = o.calibration;
  options.tolerance = ParseTolerance(o.tolerance);
  options.exclude = o.exclude;
  options.limit_pairs = !o.full_range_weights;
  options.refine = !o.no_refine;
  options.equalize = !o.no_equalization;
  options.correct_rounding = !o.no_error_correction;
  options.correct_bias = !o.no_bias_correction;
  Require(o.group_size >= 0, "--group-size: got ", o.group_size);
  const bool narrow = o.llm.scheme == "nf4" || o.llm.scheme == "int4";
  const std::string& weights = narrow ? o.llm.scheme : o.weights;
  const int64_t group = narrow && o.group_size == 0 ? 64 : o.group_size;
  Require(o.llm.recovery_rank >= 0 && o.llm.alternations >= 0, "--recovery-rank ",
          o.llm.recovery_rank, ", --alternations ", o.llm.alternations, ": need numbers from 0 on");
  options.weights = {FindWeightFormat(weights),
                     group,
                     {o.llm.recovery_rank, o.llm.alternations, PathFitOf(o.llm.recovery_fit)}};
  options.training = TrainingOf(o, setup.split.calibration.size());
  options.training.threads = setup.threads;
  options.tables = FindWeightFormat(o.tables);
  options.threads = setup.threads;
  options.say = [out](const std::string& line) {
    std::fprintf(out, "%s\n", line.c_str());
    std::fflush(out);
  };
  if (!o.memory.empty()) {
    const auto share = static_cast<size_t>(ParseBytes("--memory", o.memory) / 8);
    options.tuning_bytes = std::min(options.tuning_bytes, share);
    options.moment_bytes = std::min(options.moment_bytes, share);
  }
  const double estimate =
      EstimateMemory(setup.prepared, *setup.dataset, options, !o.report.empty());
  std::fprintf(out, "%zu samples to calibrate, %zu held out; memory: at most about %s\n",
               setup.split.calibration.size(), setup.split.evaluation.size(),
               Bytes(estimate).c_str());
  Require(o.memory.empty() || estimate <= ParseBytes("--memory", o.memory), "--memory ", o.memory,
          ": about ", Bytes(estimate), " are needed; fewer --threads need less");

  Progress trained("training paths", options.training.samples * options.training.epochs);
  options.training.step = [&] { trained.Step(); };
  options.training.epoch_done = [&](size_t epoch, double loss) {
    const bool relative = setup.task.distortion == DistortionKind::kRelativeError;
    options.say(Cat("paths ", epoch ? Cat("after epoch ", epoch) : "untrained", ": ",
                    relative ? "relative error" : "KL divergence", " of held-out samples ", loss));
  };
  options.begin = [&](const std::string& stage) { clock.Begin(stage); };
  clock.Begin("measuring the float model");
  Int8Result result = QuantizeInt8(setup.model, setup.task, options);
  setup.Sign(result.plan);
  PrintPlan(result, out);
  Model packed = result.quantized;
  PackWeights(packed, result.plan);
  const Paths written = WriteOnnx(packed, o.output);
  WritePlan(result.plan, PlanPath(o.output));
  std::filesystem::remove(options.training.state);
  std::fprintf(out, "wrote %s and %s\n", o.output.c_str(), PlanPath(o.output).c_str());
  if (!o.report.empty() || o.json) Report({o, setup, clock, out}, result, written);
  if (!result.within_tolerance)
    std::fprintf(out, "the tolerance of %s was not reached\n", o.tolerance.c_str());
}

}  // namespace

void AddQuantize(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "quantize",
      "A float ONNX model to INT8 that keeps its accuracy, or a language model to 4 bits");
  auto o = std::make_shared<Options>();
  cmd->add_option(
         "model", o->model,
         "Float ONNX model; or a language model: Hugging Face folder, .gguf, llama2.c .bin")
      ->required();
  cmd->add_option("-o,--output", o->output,
                  "Where the quantized model goes; its Plan goes beside it")
      ->required();
  o->data.Add(*cmd, false);
  o->threads.Add(*cmd);
  cmd->add_option("--plan", o->plan, "Replay this Plan instead of making one");
  cmd->add_option("--report", o->report,
                  "One HTML page of what was tried and measured; its JSON goes beside it");
  cmd->add_option("--calibration", o->calibration, "auto, max, mse, entropy or percentile:P")
      ->capture_default_str();
  cmd->add_option("--activations", o->activations, "Type of the activation codes")
      ->check(CLI::IsMember({"uint8", "int8"}))
      ->capture_default_str();
  std::vector<std::string> formats;
  for (const WeightFormat& f : AllWeightFormats()) formats.emplace_back(f.name);
  cmd->add_option("--weights", o->weights, "What weights are stored in: int2 to int8, nf2 to nf6")
      ->check(CLI::IsMember(formats))
      ->capture_default_str();
  cmd->add_option("--tables", o->tables, "What look-up tables are stored in, likewise")
      ->check(CLI::IsMember(formats))
      ->capture_default_str();
  cmd->add_option("--tolerance", o->tolerance, "Accepted relative loss on held-out samples")
      ->capture_default_str();
  cmd->add_option("--samples", o->samples, "Calibration samples (0: half of them, at most 512)")
      ->capture_default_str();
  cmd->add_option("--evaluation-samples", o->evaluation_samples, "Held-out samples (0: all others)")
      ->capture_default_str();
  cmd->add_option("--exclude", o->exclude, "Nodes that stay float")->delimiter(',');
  cmd->add_option("--memory", o->memory, "Refuse to start if more would be needed, like 500MB");
  cmd->add_flag("--full-range-weights", o->full_range_weights,
                "Do not limit weight pairs; other engines may then saturate on CPUs without VNNI");
  cmd->add_flag("--no-refine", o->no_refine, "Keep one calibration rule for all tensors");
  cmd->add_flag("--no-equalization", o->no_equalization, "Leave channels in the units they have");
  cmd->add_flag("--no-error-correction", o->no_error_correction, "Round weights to the nearest");
  cmd->add_flag("--no-bias-correction", o->no_bias_correction);
  o->llm.Add(*cmd);
  cmd->add_flag(
      "--json", o->json,
      "What was done (of language models the Plan), as JSON; the steps go to standard error");
  PutInGroup(*cmd, kForNetworks,
             {"--report", "--calibration", "--activations", "--weights", "--tables", "--tolerance",
              "--samples", "--evaluation-samples", "--exclude", "--full-range-weights",
              "--no-refine", "--no-equalization", "--no-error-correction", "--no-bias-correction"});
  cmd->callback([o, cmd] {
    if (cmd->count("--group-size")) o->group_size = o->llm.group;
    const std::string& scheme = o->llm.scheme;
    const bool for_all = scheme == "nf4" || scheme == "int4" || scheme == "int8";
    Require(!for_all || !cmd->count("--weights"), "--scheme ", scheme,
            " and --weights exclude each other");
    if (IsLanguageModel(*cmd, o->model))
      return QuantizeText(o->llm, o->model, o->output, o->data.data, o->plan, o->threads.threads,
                          o->memory.empty() ? 0 : ParseBytes("--memory", o->memory), o->json);
    Require(for_all || !cmd->count("--scheme"), "--scheme ", scheme,
            " is for language models; networks take nf4, int4 or int8");
    Run(*o);
  });
}

}  // namespace mezzo
