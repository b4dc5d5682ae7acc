// The Plan: for every weight and activation the format, granularity and parameters it gets, why,
// and what stays float. A plain JSON file that can be edited; applying it (apply_plan.h) needs
// nothing else but the model.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "mezzo/format/affine_int.h"
#include "mezzo/format/weight_format.h"
#include "mezzo/graph/scale_channels.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

// The grid of one activation. Named by the value of the prepared graph: apply_plan.h.
struct ActivationPlan {
  QParams qparams;
  float lo = 0, hi = 0;  // the calibrated range
  bool symmetric = false;
  std::string calibration;  // the rule that gave the range
};

// What happens to a node that computes with weights, or multiplies two activations.
struct NodePlan {
  bool quantized = false;
  std::string reason;                // why it stays float, or what is special
  std::vector<float> weight_scales;  // per output channel; empty without constant weights
  // The int8 weights that run, laid out as the weight is; empty for the nearest: weights.h
  std::vector<int8_t> weight_codes;
  std::vector<float> bias_shift;  // added to the float bias before it is quantized; empty for none
  double sensitivity =
      0;  // output error that this node's quantization alone accounts for; 0 if unmeasured
  std::string weight_format = "int8";  // weight_format.h
  int64_t group_size = 0;              // inputs that share a step; 0: none
  std::vector<uint8_t> weight_steps;   // by channel and group, 1..16
  LowRank path;                        // recovery/network_paths.h; undefined for none
};

// One line of the ladder: something that was tried, and what it gave.
struct LadderStep {
  std::string tried;
  double metric = 0;  // the task's own, on held-out samples
  double loss = 0;    // relative to float, >= 0 is worse
  double regressions =
      0;  // share of samples that float gets right and this does not; NaN if that has no meaning
  double distortion = 0;  // distance of the outputs from the float model's
  double int8_macs = 0;   // share of multiply-adds in integers
  bool kept = false;
};

struct Plan {
  std::string model_hash;  // of the float model's file, "fnv1a64:..."
  IntFormat activation_format = kUInt8;
  bool limit_pairs = true;     // weights.h: the same results on CPUs whose 8-bit products saturate
  ChannelScales equalization;  // equalize.h
  std::map<std::string, ActivationPlan> activations;
  std::map<std::string, NodePlan> nodes;
  // Constants stored in codes, a scale for each row (tables.h), and the format of each.
  std::map<std::string, std::string> tables;
  std::string metric_name;
  double float_metric = 0;
  double tolerance = 0.01;
  std::vector<LadderStep> ladder;
  std::vector<std::string>
      notes;                    // what a reader should know: biases that were rescaled and the like
  std::string preprocess_json;  // how samples are made, as given; empty for arrays
  uint64_t seed = 0;
  int64_t calibration_samples = 0, evaluation_samples = 0;

  // Paths stand beside codes alone.
  bool HasPath(const std::string& node) const {
    const auto it = nodes.find(node);
    return it != nodes.end() && it->second.quantized && it->second.path.a.defined();
  }
  std::set<std::string> QuantizedNodes() const {
    std::set<std::string> names;
    for (const auto& [name, node] : nodes)
      if (node.quantized) names.insert(name);
    return names;
  }
};

// JSON with every number in the shortest form that reads back to the same value.
std::string ToJson(const Plan& plan);
// Throws FileError naming `where` and the field that is missing, unknown, or out of range.
Plan PlanFromJson(const std::string& text, const std::string& where);

Plan ReadPlan(const std::filesystem::path& path);
void WritePlan(const Plan& plan, const std::filesystem::path& path);

}  // namespace mezzo
