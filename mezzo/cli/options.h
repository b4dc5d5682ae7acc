// Options that several subcommands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "mezzo/evaluate/evaluator.h"
#include "mezzo/graph/graph.h"
#include "mezzo/runtime/lower.h"

namespace mezzo {

// --data and how it is read and measured.
struct DataOptions {
  std::string data, preprocess, task, command;
  bool lower_is_better = false;
  size_t border = 0, output = 0;
  uint64_t seed = 1;

  void Add(CLI::App& app, bool required);
  std::unique_ptr<Dataset> Open(const Graph& graph) const;
  MetricOptions Metric(const Model& model) const;
  // The named task, or the one that fits the labels.
  std::string MetricName(const Dataset& dataset) const;
};

struct ThreadOptions {
  size_t threads = 0;
  void Add(CLI::App& app);
};

// Options that one kind of model alone takes: sections of the help.
inline constexpr const char *kForNetworks = "Networks", *kForTexts = "Language models";
void PutInGroup(CLI::App& cmd, const char* group, std::initializer_list<const char*> names);
// Whether a model is one of language. Throws UsageError if an option of the other kind was given.
bool IsLanguageModel(const CLI::App& cmd, const std::string& model);

// --kv: a name that KvFormatFor() takes.
void AddKvOption(CLI::App& app, std::string& kv);

// A model file as it can be run: lowered to integers where it holds Q/DQ pairs. Refuses unsupported
// operators by node name.
struct RunnableModel {
  Model model;          // as read
  Graph graph;          // constants folded, integers lowered
  LowerReport lowered;  // empty if not quantized
  bool quantized = false;
};
// `fuse`: fuse.h. Without it every node of the lowered graph does one thing.
RunnableModel LoadRunnable(const std::string& path, bool fuse = true);

// Inputs made by fill(type, shape): of the shapes given as NAME=1,3,224,224, or as declared with
// unknown dimensions 1.
TensorMap ShapedInputs(const Graph& graph, const std::vector<std::string>& shapes,
                       const std::function<Tensor(DType, Shape)>& fill);

// "1.23 ms", "12.3 MB", "4.1 G"
std::string Milliseconds(double ns);
std::string Bytes(double bytes);
std::string Count(double n);

// Indices 0..n-1, or a seeded draw of `limit` of them (groups kept together) if 0 < limit < n.
std::vector<size_t> DrawSamples(const Dataset& dataset, size_t limit, uint64_t seed);

}  // namespace mezzo
