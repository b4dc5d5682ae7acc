#include "mezzo/cli/int8_setup.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "mezzo/algorithm/apply_plan.h"
#include "mezzo/base/files.h"
#include "mezzo/base/hash.h"
#include "mezzo/import/onnx_reader.h"

namespace mezzo {

Int8Setup::Int8Setup(const std::string& path, const DataOptions& d, size_t samples,
                     size_t evaluation, size_t thread_count)
    : data(d), model(ReadOnnx(path, &files)), threads(thread_count) {
  Session(model.graph, {});  // refuses unsupported operators before any work
  dataset = data.Open(model.graph);
  const size_t n = dataset->size(), group = dataset->group();
  const size_t calibration = samples ? samples : std::min<size_t>(n / 2, 512) / group * group;
  split = Split(*dataset, std::max(calibration, group), evaluation, data.seed);
  metric = data.MetricName(*dataset);
  prepared = PrepareFloat(model);
  evaluator.emplace(*dataset, split.evaluation, metric, data.Metric(model), &prepared.graph,
                    threads);
  task.calibration = [this](size_t i) { return CalibrationInputs(i); };
  task.calibration_count = split.calibration.size();
  task.metric_name = metric;
  task.held_out_count = split.evaluation.size();
  task.metric = [this](const Graph& graph) {
    const Evaluation e = evaluator->Run(graph);
    if (!as_float_) as_float_ = e;
    return Measured{e.result.value, RegressionShare(metric, *as_float_, e)};
  };
  task.loss = [this](double f, double q) {
    return MetricLoss(metric, evaluator->higher_is_better(), f, q);
  };
  task.distortion = DistortionFor(prepared.graph, metric, CalibrationInputs(0));
}

void Int8Setup::Sign(Plan& plan) const {
  plan.model_hash = HashFiles(files);
  plan.seed = data.seed;
  plan.evaluation_samples = static_cast<int64_t>(split.evaluation.size());
  if (!data.preprocess.empty())
    plan.preprocess_json = ToJson(LoadPreprocess(data.preprocess)).dump();
}

double SizeOfFiles(const std::vector<std::filesystem::path>& paths) {
  double bytes = 0;
  for (const auto& path : paths) bytes += static_cast<double>(std::filesystem::file_size(path));
  return bytes;
}

std::string HashFiles(const std::vector<std::filesystem::path>& paths) {
  uint64_t h = Fnv1a({});
  for (const auto& path : paths) h = Fnv1a(MappedFile(path).bytes(), h);
  char text[40];
  std::snprintf(text, sizeof(text), "fnv1a64:%016lx", h);
  return text;
}

double ResidentBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return 1024 * std::strtod(line.c_str() + 6, nullptr);
  return 0;
}

double ParseBytes(const std::string& option, const std::string& text) {
  char* end;
  const double v = std::strtod(text.c_str(), &end);
  const std::string unit = end;
  const double factor = unit == "G" || unit == "GB"   ? 1e9
                        : unit == "M" || unit == "MB" ? 1e6
                        : unit == "k" || unit == "kB" ? 1e3
                        : unit.empty() || unit == "B" ? 1
                                                      : 0;
  Require(end != text.c_str() && factor > 0 && v > 0, option, ": got ", text,
          ", needs a size like 500MB");
  return v * factor;
}

}  // namespace mezzo
