#include "mezzo/cli/options.h"

#include <cstdio>

#include "mezzo/import/llm/model.h"
#include "mezzo/import/onnx_reader.h"
#include "mezzo/runtime/fold_constants.h"
#include "mezzo/runtime/fuse.h"

namespace mezzo {

void DataOptions::Add(CLI::App& app, bool required) {
  auto* option = app.add_option("--data", data,
                                "Samples: a folder of pictures with labels.csv, an .npz, a folder "
                                "of .npz; for language models a text file");
  if (required) option->required();
  app.add_option("--preprocess", preprocess,
                 "For pictures: imagenet, imagenet-lite, cifar10, ocr, luma, or a JSON file");
  app.add_option(
      "--task", task,
      "classify, ctc, similarity, psnr, agreement, sqnr, kl (default: what the labels say)");
  app.add_option("--metric-command", command,
                 "A program that is given a folder of outputs and prints a figure");
  app.add_flag("--lower-is-better", lower_is_better, "For --metric-command");
  app.add_option("--output-index", output, "Which of the model's outputs is measured")
      ->capture_default_str();
  app.add_option("--border", border, "psnr: pixels left out at each side")->capture_default_str();
  app.add_option("--seed", seed, "Draws the samples")->capture_default_str();
  PutInGroup(app, kForNetworks,
             {"--preprocess", "--task", "--metric-command", "--lower-is-better", "--output-index",
              "--border"});
}

std::unique_ptr<Dataset> DataOptions::Open(const Graph& graph) const {
  std::optional<Preprocess> pre;
  if (!preprocess.empty()) pre = LoadPreprocess(preprocess);
  auto dataset = OpenDataset(data, graph.inputs, pre);
  const std::vector<std::string> unlisted = UnlistedFiles(data);
  if (!unlisted.empty())
    std::fprintf(stderr,
                 "mezzo: note: %s/labels.csv does not list %zu files, which are left out: %s%s\n",
                 data.c_str(), unlisted.size(), unlisted[0].c_str(),
                 unlisted.size() > 1 ? " and others" : "");
  return dataset;
}

MetricOptions DataOptions::Metric(const Model& model) const {
  MetricOptions options;
  options.output = output;
  options.border = static_cast<int>(border);
  options.command = command;
  options.higher_is_better = !lower_is_better;
  const auto characters = model.metadata.find("character");
  if (characters != model.metadata.end()) options.characters = characters->second;
  for (const ValueInfo& out : model.graph.outputs) options.output_names.push_back(out.name);
  return options;
}

std::string DataOptions::MetricName(const Dataset& dataset) const {
  if (!command.empty()) return "command";
  return task.empty() ? MetricFor(dataset) : task;
}

void ThreadOptions::Add(CLI::App& app) {
  app.add_option("--threads", threads, "0: every core")->capture_default_str();
}

void PutInGroup(CLI::App& cmd, const char* group, std::initializer_list<const char*> names) {
  for (const char* name : names) cmd.get_option(name)->group(group);
}

bool IsLanguageModel(const CLI::App& cmd, const std::string& model) {
  const bool language_model = LanguageModel::Recognizes(model);
  const char* const other = language_model ? kForNetworks : kForTexts;
  for (const CLI::Option* option : cmd.get_options())
    Require(option->count() == 0 || option->get_group() != other, option->get_name(), " is for ",
            language_model ? "networks" : "language models", "; ", model, " is a ",
            language_model ? "language model" : "network");
  return language_model;
}

void AddKvOption(CLI::App& app, std::string& kv) {
  app.add_option("--kv", kv,
                 "Keep keys and values in float, int16, int8 or fp8 (auto: int16 "
                 "if the model is quantized)")
      ->capture_default_str()
      ->group(kForTexts);
}

RunnableModel LoadRunnable(const std::string& path, bool fuse) {
  RunnableModel m;
  m.model = ReadOnnx(path);
  m.graph = m.model.graph;
  FoldConstants(m.graph);
  for (const Node& node : m.graph.nodes) m.quantized |= node.Is("DequantizeLinear");
  if (m.quantized) m.graph = LowerToIntegers(m.graph, &m.lowered);
  if (fuse) Fuse(m.graph, &m.lowered);
  return m;
}

namespace {

// NAME=1,3,224,224
std::pair<std::string, Shape> ParseShape(const std::string& text) {
  const size_t eq = text.find('=');
  Require(eq != std::string::npos, "--shape: got ", text, ", needs NAME=1,3,224,224");
  Shape shape;
  std::istringstream dims(text.substr(eq + 1));
  for (std::string d; std::getline(dims, d, ',');) {
    char* end;
    const int64_t value = std::strtoll(d.c_str(), &end, 10);
    Require(!d.empty() && !*end && value > 0, "--shape: '", d, "' in ", text,
            " is not a dimension");
    shape.push_back(value);
  }
  return {text.substr(0, eq), shape};
}

}  // namespace

TensorMap ShapedInputs(const Graph& graph, const std::vector<std::string>& shapes,
                       const std::function<Tensor(DType, Shape)>& fill) {
  std::map<std::string, Shape> given;
  for (const std::string& s : shapes) given.insert(ParseShape(s));
  TensorMap inputs;
  for (const ValueInfo& in : graph.inputs) {
    const auto it = given.find(in.name);
    Shape shape = it == given.end() ? in.shape : it->second;
    if (it != given.end()) given.erase(it);
    for (int64_t& d : shape) d = std::max<int64_t>(d, 1);
    inputs[in.name] = fill(in.dtype, shape);
  }
  Require(given.empty(), "--shape: the model has no input ",
          given.empty() ? "" : given.begin()->first);
  return inputs;
}

namespace {

std::string Format(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

std::string WithPrefix(double v, const char* unit) {
  if (v >= 1e9) return Format("%.2f G", v / 1e9) + unit;
  if (v >= 1e6) return Format("%.2f M", v / 1e6) + unit;
  if (v >= 1e3) return Format("%.1f k", v / 1e3) + unit;
  return Format("%.0f ", v) + unit;
}

}  // namespace

std::string Milliseconds(double ns) { return Format(ns < 1e7 ? "%.3f ms" : "%.1f ms", ns / 1e6); }
std::string Bytes(double bytes) { return WithPrefix(bytes, "B"); }
std::string Count(double n) { return WithPrefix(n, ""); }

std::vector<size_t> DrawSamples(const Dataset& dataset, size_t limit, uint64_t seed) {
  if (limit > 0 && limit < dataset.size()) return Split(dataset, 0, limit, seed).evaluation;
  std::vector<size_t> all(dataset.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return all;
}

}  // namespace mezzo
