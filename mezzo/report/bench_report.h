// What `mezzo bench` measured on a network, for a reader: plain data, its JSON, a table for the
// terminal, and one self-contained HTML page, which carries the JSON.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "mezzo/report/machine_peak.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// Throughout, NaN means "not measured" or "does not apply": null in the JSON, a dash elsewhere.

// A node that runs.
struct BenchLayer {
  std::string node, op;
  // The nodes of the file that it stands for, (name, operator) each; itself if it is one of them.
  std::vector<std::pair<std::string, std::string>> replaces;
  Shape shape;  // of the first output, like the type
  std::string type;
  bool integer = false;  // multiplies 8-bit codes
  double ms = 0;         // median
  double macs = 0, bytes = 0;
  double roofline_ms = 0;  // the least that the machine could take; NaN if nothing bounds it

  double operations_per_second() const;  // 2 a multiply-add; NaN without any
  double bytes_per_second() const;
  double share_of_roofline() const;  // 1: as fast as can be
};

struct BenchReport {
  std::string model;  // path
  bool quantized = false;
  size_t threads = 0;
  int runs = 0;
  double median_ms = 0, min_ms = 0, first_ms = 0, load_ms = 0;
  double peak_memory_bytes = 0;
  std::string cpu;
  MachinePeak peak;                // 0 if layers were not measured, which are then none
  std::vector<BenchLayer> layers;  // in the order of the graph
};

// All layers as one: sums of times, work and rooflines (those there are; NaN if none).
BenchLayer Total(const BenchReport& report);

// "Conv + Relu + Q": what a node stands for, in short. Empty if that is itself; without
// DequantizeLinear, where there is more, and with Q for QuantizeLinear.
std::string Fused(const BenchLayer& layer);

std::string ToJson(const BenchReport& report);
std::string ToText(const BenchReport& report);  // the slowest first, without the model's own times
std::string ToHtml(const BenchReport& report);

}  // namespace mezzo
