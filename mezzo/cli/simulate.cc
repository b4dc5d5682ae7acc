// mezzo simulate: a quantized network's figure on compute-in-memory arrays whose cells vary from
// chip to chip, and the energy that such arrays take.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "mezzo/algorithm/recovery/network_paths.h"
#include "mezzo/algorithm/variability/chip_paths.h"
#include "mezzo/algorithm/variability/chips.h"
#include "mezzo/algorithm/variability/energy.h"
#include "mezzo/base/files.h"
#include "mezzo/base/progress.h"
#include "mezzo/cli/commands.h"
#include "mezzo/cli/options.h"
#include "mezzo/report/chip_report.h"
#include "mezzo/report/measure.h"
#include "mezzo/runtime/fold_constants.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string model, energy = "parts", report;
  DataOptions data;
  ThreadOptions threads;
  std::vector<float> sigmas{0, 0.05f, 0.1f, 0.2f};
  std::vector<std::string> recovery{"none", "clean", "chips", "chip"};
  int64_t chips = 10, rows = 256, samples = 0;
  size_t calibration = 64, training_chips = 8;
  CimOptions cim;
  EnergyConfig config;
  bool json = false, headline = false;
};

EnergyTable TableOf(const std::string& name) {
  return name.ends_with(".json") ? ReadEnergyTable(name) : NamedEnergyTable(name);
}

// What the library calls a field by its option's name.
void NamingOption(const std::function<void()>& check) {
  try {
    check();
  } catch (const UsageError& e) {
    throw UsageError(Cat("--", e.what()));
  }
}

// Ahead of the work: whatever is out of range, with the name of its option.
ChipTask TaskOf(const Options& o) {
  Require(o.rows >= 0, "--array-rows: got ", o.rows, ", needs 0 (all) or more");
  Require(o.chips > 0, "--chips: got ", o.chips, ", needs 1 or more");
  Require(o.samples >= 0, "--evaluation-samples: got ", o.samples, ", needs 0 (all) or more");
  ChipTask task{o.sigmas, static_cast<size_t>(o.chips), o.data.seed, o.cim};
  task.options.rows = static_cast<size_t>(o.rows);
  Require(!task.sigmas.empty(), "--sigma: needs one or more");
  std::sort(task.sigmas.begin(), task.sigmas.end());
  for (const float sigma : task.sigmas) {
    CimOptions one = task.options;
    one.sigma = sigma;
    NamingOption([&] { CheckCimOptions(one); });
  }
  return task;
}

EnergyConfig ConfigOf(const Options& o) {
  EnergyConfig config = o.config;
  config.rows = static_cast<size_t>(o.rows);
  config.adc_bits = o.cim.adc_bits;
  return config;
}

double IoBytes(const TensorMap& inputs, const std::vector<Tensor>& outputs) {
  double bytes = static_cast<double>(BytesOf(inputs));
  for (const Tensor& t : outputs) bytes += static_cast<double>(t.bytes());
  return bytes;
}

// Samples for fitting paths, evenly spread over those that do not measure or, if all do, over
// these, which then lose them: half at most.
std::vector<size_t> TakeCalibration(size_t all, size_t wanted, std::vector<size_t>& measure) {
  const std::set<size_t> measured(measure.begin(), measure.end());
  std::vector<size_t> others;
  for (size_t i = 0; i < all; ++i)
    if (!measured.contains(i)) others.push_back(i);
  const std::vector<size_t>& from = others.empty() ? measure : others;
  wanted = std::min(wanted, others.empty() ? from.size() / 2 : from.size());
  std::set<size_t> taken;
  for (size_t i = 0; i < wanted; ++i) taken.insert(from[i * from.size() / wanted]);
  std::erase_if(measure, [&](size_t i) { return taken.contains(i); });
  return {taken.begin(), taken.end()};
}

// The graph for a chip with each kind of paths that was asked for.
struct Recovery {
  std::string name, meaning;
  std::function<Graph(const CimOptions&)> graph;
};
std::vector<Recovery> Recoveries(const Options& o, const Graph& lowered, const ChipPaths* paths) {
  if (!paths) return {{"", "as the file is", [&](const CimOptions&) { return lowered; }}};
  std::vector<Recovery> all;
  for (const std::string& name : o.recovery) {
    if (name == "none") {
      all.push_back(
          {name, "without paths", [g = paths->Without()](const CimOptions&) { return g; }});
    } else if (name == "clean") {
      all.push_back({name, "paths as in the file", [&](const CimOptions&) { return lowered; }});
    } else if (name == "chip") {
      all.push_back({name, "paths fitted to each chip",
                     [paths](const CimOptions& chip) { return paths->FittedTo({chip}); }});
    } else {
      all.push_back({name, Cat("paths fitted to ", o.training_chips, " other chips"),
                     [&o, paths](CimOptions chip) {
                       std::vector<CimOptions> others(o.training_chips, chip);
                       for (size_t c = 0; c < others.size(); ++c)
                         others[c].chip = CimSeed(o.data.seed, "training chip", c);
                       return paths->FittedTo(others);
                     }});
    }
  }
  return all;
}

// Noise of each layer on the first chip at the largest sigma, if it has a path.
void AddRecovered(const ChipTask& task, const ChipPaths& paths, ChipReport& r) {
  CimOptions chip = task.options;
  chip.sigma = task.sigmas.back();
  chip.chip = CimSeed(task.seed, "chip", 0);
  for (const ChipRecovery& one : paths.Recovered(chip))
    for (ChipLayer& l : r.layers)
      if (l.node == one.node) l.rank = one.rank, l.noise = one.noise, l.left = one.left;
}

void AddEnergy(const EnergyEstimate& e, const EnergyConfig& config, const EnergyTable& table,
               ChipReport& r) {
  for (const EnergyPart& p : e.parts) r.energy.push_back({p.name, p.femtojoules});
  r.tops_per_watt = e.TopsPerWatt();
  r.tops_per_watt_without_memory = e.TopsPerWatt(false);
  r.assumptions = EnergyAssumptions(config, table);
}

void AddSettings(const Options& o, ChipReport& r) {
  const CimOptions& c = o.cim;
  r.settings = {{"--array-rows", Cat(o.rows)},
                {"--adc-bits", Cat(c.adc_bits)},
                {"--adc-full-scale", Cat(c.adc_full_scale)},
                {"--read-noise", Cat(c.read_noise)},
                {"--stuck-at-0", Cat(c.stuck_at_0)},
                {"--stuck-at-1", Cat(c.stuck_at_1)},
                {"--drift", Cat(c.drift)},
                {"--drift-spread", Cat(c.drift_spread)},
                {"--calibration-samples", Cat(o.calibration)},
                {"--training-chips", Cat(o.training_chips)},
                {"--energy", o.energy},
                {"--seed", Cat(o.data.seed)}};
}

ChipReport Simulate(const Options& o) {
  const ChipTask task = TaskOf(o);
  EnergyConfig config = ConfigOf(o);
  NamingOption([&] { CheckEnergyConfig(config); });
  const EnergyTable table = TableOf(o.energy);
  const Threads threads(o.threads.threads);
  ChipReport r;
  StageClock clock;
  clock.Begin("reading the model");
  const RunnableModel model = LoadRunnable(o.model, false);
  const Graph arrays = OnArrays(model.graph, task.options);
  const auto dataset = o.data.Open(model.model.graph);
  auto samples = DrawSamples(*dataset, static_cast<size_t>(o.samples), o.data.seed);
  const TensorMap first = dataset->Get(samples.at(0)).inputs;
  const std::vector<CimLayer> layers = CimLayers(arrays, first);
  Require(!layers.empty(), o.model,
          ": no layer multiplies integers by constant weights, needs a model as mezzo quantize "
          "writes");
  clock.Begin("gathering what layers read");
  Graph written = model.model.graph;
  FoldConstants(written);
  const auto calibration =
      TakeCalibration(dataset->size(), HasPaths(written) ? o.calibration : 0, samples);
  const ChipPaths paths(
      written, model.graph, [&](size_t i) { return dataset->Get(calibration[i]).inputs; },
      calibration.size(), threads);
  const auto recoveries = Recoveries(o, model.graph, paths.layers() > 0 ? &paths : nullptr);
  if (config.recovery_rank == 0) config.recovery_rank = paths.rank();
  AddEnergy(
      EstimateEnergy(layers, IoBytes(first, Session(model.graph, {}).Run(first)), config, table),
      config, table, r);
  for (const CimLayer& l : layers)
    r.layers.push_back({l.node, static_cast<double>(l.weights), static_cast<double>(l.Macs()),
                        l.depth, l.planes, 0, NAN, NAN});
  Evaluator evaluator(*dataset, samples, o.data.MetricName(*dataset), o.data.Metric(model.model),
                      &model.graph, threads);
  Progress progress("simulating", samples.size() * (1 + recoveries.size() * ChipRuns(task)));
  const auto run = [&](const Graph& graph) {
    return evaluator.Run(graph, [&] { progress.Step(); }).result;
  };
  clock.Begin("the integer engine");
  const MetricResult clean = run(model.graph);
  for (const Recovery& recovery : recoveries) {
    clock.Begin(recovery.name.empty() ? "simulating" : "simulating, paths " + recovery.name);
    r.series.push_back({recovery.name, recovery.meaning, {}});
    const auto results =
        SimulateChips(recovery.graph, task, [&](const Graph& graph) { return run(graph).value; });
    for (const SigmaResult& one : results)
      r.series.back().points.push_back(
          {one.sigma, one.mean, one.deviation, one.half_width, one.values});
  }
  AddRecovered(task, paths, r);
  AddSettings(o, r);
  r.model = std::filesystem::path(o.model).filename();
  r.metric = clean.name;
  r.higher_is_better = evaluator.higher_is_better();
  r.integer_engine = clean.value;
  r.samples = static_cast<int64_t>(clean.n);
  r.chips = o.chips;
  r.digital = DigitalProducts(arrays);
  r.stages = clock.Stages();
  r.peak_memory_bytes = PeakMemoryBytes();
  r.threads = threads.count();
  r.cpu = CpuName();
  return r;
}

Json ToJson(const EnergyEstimate& e) {
  Json parts = Json::array();
  for (const EnergyPart& p : e.parts)
    parts.push_back({{"part", p.name}, {"count", p.count}, {"femtojoules", p.femtojoules}});
  return {{"macs", e.macs},
          {"tops_per_watt", e.TopsPerWatt()},
          {"tops_per_watt_without_memory", e.TopsPerWatt(false)},
          {"femtojoules", e.Femtojoules()},
          {"parts", parts}};
}

void Print(const ChipPoint& r) {
  std::printf("%6g  %10.6g", r.sigma, r.mean);
  if (r.values.size() > 1)
    std::printf("  %9.2g  +- %.2g", r.deviation, r.half_width);
  else
    std::printf("  %9s  %s", "-", std::isnan(r.deviation) ? "one chip only" : "chips are equal");
  std::printf("\n");
}

void PrintEnergy(const ChipReport& r) {
  double sum = 0, macs = 0;
  for (const ChipEnergyPart& p : r.energy) sum += p.femtojoules;
  for (const ChipLayer& l : r.layers) macs += l.macs;
  std::printf("energy of a sample: %.4g uJ for %s MACs: %.4g TOPS/W, %.4g without memories\n",
              sum / 1e9, Count(macs).c_str(), r.tops_per_watt, r.tops_per_watt_without_memory);
  for (const ChipEnergyPart& p : r.energy)
    std::printf("  %-12s  %10.4g nJ  %5.1f%%\n", p.name.c_str(), p.femtojoules / 1e6,
                100 * p.femtojoules / sum);
  for (const std::string& line : r.assumptions) std::printf("  assumes %s\n", line.c_str());
}

void Print(const ChipReport& r) {
  std::printf("%zu layers on arrays; %s %.6g on %lld samples on the integer engine\n",
              r.layers.size(), r.metric.c_str(), r.integer_engine,
              static_cast<long long>(r.samples));
  size_t of_paths = 0;
  for (const std::string& name : r.digital)
    if (name.find(PathNode("", "")) != std::string::npos)
      ++of_paths;
    else
      std::printf("digital: %s\n", name.c_str());
  if (of_paths > 0) std::printf("digital: the %zu products of recovery paths\n", of_paths);
  for (const ChipSeries& one : r.series) {
    if (!one.recovery.empty())
      std::printf("recovery %s: %s\n", one.recovery.c_str(), one.meaning.c_str());
    std::printf(" sigma  %10s  deviation  95%% of the mean over %lld chips\n", r.metric.c_str(),
                static_cast<long long>(r.chips));
    for (const ChipPoint& p : one.points) Print(p);
  }
  PrintEnergy(r);
}

void PrintHeadline(bool json) {
  Json list = Json::array();
  for (const HeadlineCase& c : HeadlineCases()) {
    list.push_back({{"assumption", c.assumption}, {"estimate", ToJson(c.estimate)}});
    if (!json)
      std::printf("%7.1f TOPS/W, %7.1f with memories: %s\n", c.estimate.TopsPerWatt(false),
                  c.estimate.TopsPerWatt(), c.assumption.c_str());
  }
  if (json) std::printf("%s\n", list.dump(1).c_str());
}

void Run(const Options& o) {
  if (o.headline) return PrintHeadline(o.json);
  Require(!o.model.empty(), "MODEL is required");
  Require(!o.data.data.empty(), "--data is required");
  const ChipReport report = Simulate(o);
  if (!o.report.empty()) {
    WriteFile(o.report, ToHtml(report));
    WriteFile(std::filesystem::path(o.report).replace_extension(".json"), ToJson(report));
  }
  if (o.json)
    std::printf("%s\n", ToJson(report).c_str());
  else
    Print(report);
  if (!o.report.empty()) std::fprintf(o.json ? stderr : stdout, "report: %s\n", o.report.c_str());
}

void AddArrayOptions(CLI::App& cmd, Options& o) {
  cmd.add_option("--sigma", o.sigmas, "Mismatch of the cells: relative deviations, by commas")
      ->delimiter(',')
      ->capture_default_str();
  cmd.add_option("--chips", o.chips, "Chips drawn for each sigma")->capture_default_str();
  cmd.add_option("--array-rows", o.rows, "Rows that a conversion sums (0: all)")
      ->capture_default_str();
  cmd.add_option("--adc-bits", o.cim.adc_bits, "Of a converter (0: ideal)")->capture_default_str();
  cmd.add_option("--adc-full-scale", o.cim.adc_full_scale,
                 "Where a converter clips, as a fraction of the rows")
      ->capture_default_str();
  cmd.add_option("--read-noise", o.cim.read_noise, "Of a conversion, in units of one cell")
      ->capture_default_str();
  cmd.add_option("--stuck-at-0", o.cim.stuck_at_0, "Share of the cells")->capture_default_str();
  cmd.add_option("--stuck-at-1", o.cim.stuck_at_1, "Share of the cells")->capture_default_str();
  cmd.add_option("--drift", o.cim.drift, "Share of its conductance that a cell has lost")
      ->capture_default_str();
  cmd.add_option("--drift-spread", o.cim.drift_spread, "Deviation of that share from cell to cell")
      ->capture_default_str();
}

void AddEnergyOptions(CLI::App& cmd, Options& o) {
  cmd.add_option("--energy", o.energy, "Energy of each operation: parts, macro or a .json file")
      ->capture_default_str();
  cmd.add_option("--recovery-rank", o.config.recovery_rank,
                 "Energy: rank of the high-precision paths (0: the file's)")
      ->capture_default_str();
  cmd.add_option("--recovery-format", o.config.recovery_format, "Energy: fp32, fp16 or int8")
      ->capture_default_str();
  cmd.add_option("--energy-weight-bits", o.config.weight_bits,
                 "Energy: planes of the weights (0: as the model's)")
      ->capture_default_str();
  cmd.add_option("--energy-activation-bits", o.config.activation_bits,
                 "Energy: planes of the codes")
      ->capture_default_str();
  cmd.add_flag("--weights-from-dram", o.config.weights_from_dram,
               "Energy: weights are read at every run");
  cmd.add_flag("--energy-headline", o.headline,
               "Only show what 464 TOPS/W with rank-8 paths rests on");
}

}  // namespace

void AddSimulate(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand(
      "simulate", "A quantized network on compute-in-memory arrays that vary, and their energy");
  auto o = std::make_shared<Options>();
  cmd->add_option("model", o->model, "ONNX model as mezzo quantize writes");
  o->data.Add(*cmd, false);
  cmd->get_option("--seed")->description("Draws the samples and the chips");
  cmd->add_option("--evaluation-samples", o->samples, "Use so many, drawn by --seed (0: all)")
      ->capture_default_str();
  cmd->add_option("--recovery", o->recovery,
                  "Of models with recovery paths: none, clean (as in the file), chips (fitted to "
                  "others), chip (to each)")
      ->delimiter(',')
      ->check(CLI::IsMember({"none", "clean", "chips", "chip"}))
      ->capture_default_str();
  cmd->add_option("--calibration-samples", o->calibration, "That paths are fitted on")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  cmd->add_option("--training-chips", o->training_chips, "For --recovery chips")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  AddArrayOptions(*cmd, *o);
  AddEnergyOptions(*cmd, *o);
  o->threads.Add(*cmd);
  cmd->add_option("--report", o->report, "One HTML page; its JSON goes beside it");
  cmd->add_flag("--json", o->json);
  cmd->callback([o] { Run(*o); });
}

}  // namespace mezzo
