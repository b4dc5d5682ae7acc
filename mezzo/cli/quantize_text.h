// mezzo quantize of a language model.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "mezzo/algorithm/llm/job.h"

namespace mezzo {

struct LlmQuantizeOptions {
  std::string scheme = "w4a8-fp8", codes, fp8 = "e4m3fn";
  int64_t group = 64, activation_group = -1;
  size_t context = 512, windows = 20;
  double damping = 0.01;
  int64_t recovery_rank = 0;
  int alternations = 1;
  std::string recovery_fit = "hessian";
  size_t recovery_windows = 0, recovery_epochs = 4;
  double recovery_rate = 0.01;
  bool zero_points = false, double_quant = false, no_reorder = false, rtn = false,
       no_search = false;
  bool float_head = false, rotate = false;

  void Add(CLI::App& app);
};

// What the options say of the files; UsageError for what does not go together.
LlmQuantization StoredFormat(const LlmQuantizeOptions& o);
// The model that is quantized: itself, or in a rotated basis.
LanguageModel OpenToQuantize(const std::string& path, bool rotate);
// A job without windows and threads.
LlmJob JobOf(const LlmQuantizeOptions& o, const LlmQuantization& stored);

// Writes the folder `output`, from the text file `data`; `plan`, if not empty, is a Plan's
// file, which says the formats and each layer's precision. `json`: the Plan goes to standard
// output, the steps to standard error.
void QuantizeText(const LlmQuantizeOptions& o, const std::string& model, const std::string& output,
                  const std::string& data, const std::string& plan, size_t threads,
                  double memory_limit, bool json);

}  // namespace mezzo
