// What quantize and plan have in common: a float model, data in two parts that share no sample, and
// how the one is judged on the other.
#pragma once

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mezzo/algorithm/int8_workflow.h"
#include "mezzo/cli/options.h"

namespace mezzo {

struct Int8Setup {
  // `samples` to calibrate on (0: half, at most 512), `evaluation` held out (0: all others).
  Int8Setup(const std::string& path, const DataOptions& data, size_t samples, size_t evaluation,
            size_t threads);
  Int8Setup(const Int8Setup&) = delete;

  TensorMap CalibrationInputs(size_t i) const { return dataset->Get(split.calibration[i]).inputs; }
  // What every Plan of this run says of the model and the data.
  void Sign(Plan& plan) const;

  DataOptions data;
  std::vector<std::filesystem::path> files;  // of the model, the ONNX file first
  Model model, prepared;                     // as read, and as PrepareFloat makes it
  Threads threads;
  std::unique_ptr<Dataset> dataset;
  DataSplit split;
  std::string metric;
  std::optional<Evaluator> evaluator;  // on the held-out part
  Int8Task task;

 private:
  std::optional<Evaluation> as_float_;  // the first to be measured
};

// Bytes of all files together.
double SizeOfFiles(const std::vector<std::filesystem::path>& paths);
// "fnv1a64:..." of their contents.
std::string HashFiles(const std::vector<std::filesystem::path>& paths);
// What the process holds now.
double ResidentBytes();
// "500MB" in bytes; UsageError naming the option.
double ParseBytes(const std::string& option, const std::string& text);

}  // namespace mezzo
