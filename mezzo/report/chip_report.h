// What `mezzo simulate` found, for a reader: plain data and one self-contained HTML page, which
// carries the JSON of the data.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mezzo/report/report.h"

namespace mezzo {

// Throughout, NaN means "not measured": null in the JSON, a dash on the page.

// Several chips at one mismatch.
struct ChipPoint {
  double sigma = 0;
  double mean = 0, deviation = 0;  // of the metric over the chips
  double half_width = 0;           // of the mean's 95% confidence interval
  std::vector<double> values;      // by chip
};

// One kind of recovery paths: "none", "clean", "chips", "chip"; "" for a model that has none.
struct ChipSeries {
  std::string recovery, meaning;
  std::vector<ChipPoint> points;  // by rising sigma
};

// A layer on arrays.
struct ChipLayer {
  std::string node;
  double weights = 0, macs = 0;
  int64_t rows = 0, planes = 0;  // of an array; bit planes of its weights
  int64_t rank = 0;              // of its recovery path, 0: none
  // Of one chip at the largest sigma: noise of the outputs as a share of their power, without the
  // path and with one fitted to the chip.
  double noise = 0, left = 0;
};

struct ChipEnergyPart {
  std::string name;
  double femtojoules = 0;
};

struct ChipReport {
  std::string model;   // file name
  std::string metric;  // "top1"
  bool higher_is_better = true;
  double integer_engine = 0;  // the metric without arrays
  int64_t samples = 0, chips = 0;
  std::vector<ChipSeries> series;
  std::vector<ChipLayer> layers;     // in the order of the graph
  std::vector<std::string> digital;  // products that are not on arrays
  std::vector<ChipEnergyPart> energy;
  double tops_per_watt = 0, tops_per_watt_without_memory = 0;
  std::vector<std::string> assumptions;                       // of the energy
  std::vector<std::pair<std::string, std::string>> settings;  // of the arrays: option, value
  std::vector<ReportStage> stages;
  double peak_memory_bytes = 0;
  size_t threads = 0;
  std::string cpu;
};

std::string ToJson(const ChipReport& report);
std::string ToHtml(const ChipReport& report);

}  // namespace mezzo
