#include "mezzo/algorithm/variability/energy.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

double RecoveryBytes(const std::string& format) {
  return format == "fp32" ? 4 : format == "fp16" ? 2 : 1;
}

// Bits of a converter that tells apart all sums of so many cells.
int LosslessBits(int64_t rows) { return std::bit_width(static_cast<uint64_t>(rows)); }

struct Counts {
  double macs = 0, products = 0, conversions = 0, recovery = 0, sram = 0, weights = 0;
  double converter_fj = 0;  // conversions times what each takes
};

void Add(const CimLayer& l, const EnergyConfig& c, const EnergyTable& table, Counts& n) {
  const int64_t rows = c.rows ? std::min(static_cast<int64_t>(c.rows), l.depth) : l.depth;
  const int64_t chunks = (l.depth + rows - 1) / rows;
  const double weight_bits = c.weight_bits ? c.weight_bits : static_cast<double>(l.planes);
  const double planes = weight_bits * c.activation_bits;
  const auto outputs = static_cast<double>(l.outputs), depth = static_cast<double>(l.depth);
  const double cols = static_cast<double>(l.weights) / depth;  // of all groups
  const double channels = depth * static_cast<double>(l.groups);
  const double conversions = outputs * static_cast<double>(chunks) * planes;
  const int bits = c.adc_bits ? c.adc_bits : LosslessBits(rows);
  n.macs += outputs * depth;
  n.products += outputs * depth * planes;
  n.conversions += conversions;
  n.converter_fj +=
      conversions * (table["adc_bit"] * bits + table["adc_4_to_bits"] * std::pow(4.0, bits));
  const auto rank = static_cast<double>(c.recovery_rank);
  n.recovery += rank * (channels + cols) * (outputs / cols);
  n.sram += static_cast<double>(l.inputs + l.outputs) * c.activation_bits / 8 +
            rank * (channels + cols) * RecoveryBytes(c.recovery_format);
  n.weights += static_cast<double>(l.weights) * weight_bits / 8;
}

}  // namespace

void CheckEnergyConfig(const EnergyConfig& c) {
  Require(c.adc_bits >= 0 && c.adc_bits <= 16, "adc-bits is ", c.adc_bits, ", needs 0 to 16");
  Require(c.weight_bits >= 0 && c.weight_bits <= 16, "energy-weight-bits is ", c.weight_bits,
          ", needs 0 to 16");
  Require(c.activation_bits >= 1 && c.activation_bits <= 16, "energy-activation-bits is ",
          c.activation_bits, ", needs 1 to 16");
  Require(c.recovery_rank >= 0, "recovery-rank is ", c.recovery_rank, ", needs 0 or more");
  const std::string& f = c.recovery_format;
  Require(f == "fp32" || f == "fp16" || f == "int8", "recovery-format: got ", f,
          ", needs fp32, fp16 or int8");
}

double EnergyEstimate::Femtojoules(bool with_memory) const {
  double sum = 0;
  for (const EnergyPart& p : parts)
    if (with_memory || !p.memory) sum += p.femtojoules;
  return sum;
}

double EnergyEstimate::TopsPerWatt(bool with_memory) const {
  return 2 * macs / Femtojoules(with_memory) * 1e3;  // operations a femtojoule: 1e3 TOPS/W
}

EnergyEstimate EstimateEnergy(const std::vector<CimLayer>& layers, double io_bytes,
                              const EnergyConfig& c, const EnergyTable& table) {
  CheckEnergyConfig(c);
  Require(!layers.empty(), "energy: no layer runs on arrays");
  Counts n;
  for (const CimLayer& layer : layers) Add(layer, c, table, n);
  const double dram = io_bytes + (c.weights_from_dram ? n.weights : 0);
  return {n.macs,
          {{"cells", n.products, n.products * table["cell_product"]},
           {"converters", n.conversions, n.converter_fj},
           {"accumulation", n.conversions, n.conversions * table["accumulate"]},
           {"recovery", n.recovery, n.recovery * table[c.recovery_format + "_mac"]},
           {"SRAM", n.sram, n.sram * table["sram_byte"], true},
           {"DRAM", dram, dram * table["dram_byte"], true}}};
}

std::vector<std::string> EnergyAssumptions(const EnergyConfig& c, const EnergyTable& table) {
  std::vector<std::string> lines;
  lines.push_back(c.weight_bits ? Cat("weights of ", c.weight_bits, " bits")
                                : "weights of as many bits as each layer's largest needs");
  lines.back() += Cat(", activations of ", c.activation_bits, " bits, one plane of each at a time");
  lines.push_back(c.rows ? Cat("a conversion sums ", c.rows, " rows, or a layer's if it has fewer")
                         : "a conversion sums all rows of a layer");
  lines.push_back(c.adc_bits ? Cat("converters of ", c.adc_bits, " bits")
                             : "converters of as many bits as lose nothing");
  lines.push_back("every product of bits counts, zeros too");
  if (c.recovery_rank)
    lines.push_back(Cat("recovery paths of rank ", c.recovery_rank, " in ", c.recovery_format,
                        " at every layer, digital; B(Ax) with A over the whole window"));
  lines.push_back("each activation is read from SRAM once and written once");
  lines.push_back(c.weights_from_dram ? "weights come from DRAM at every run"
                                      : "weights stay in their cells");
  lines.push_back(
      "no energy for control, clocks, leakage, products of two computed tensors, "
      "and elementwise operators");
  for (const EnergyEntry& e : table.entries)
    lines.push_back(Cat(e.name, " ", e.femtojoules, " fJ: ", e.source));
  return lines;
}

}  // namespace mezzo
