// Operations per joule of a network on arrays, from a table of what each operation takes:
//
//   cells         main MACs * weight planes * activation planes              times cell_product
//   converters    outputs * chunks * weight planes * activation planes       times
//                 adc_bit * bits + adc_4_to_bits * 4^bits
//   accumulation  as many                                                    times accumulate
//   recovery      rank * (inputs of A + outputs of B) MACs a position        times fp32_mac, ...
//   SRAM          each code read and written once, A and B read once a run   times sram_byte
//   DRAM          the network's inputs and outputs; if asked for, weights    times dram_byte
//
// TOPS/W = 2 * main MACs / energy: the recovery's own operations count as cost only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "mezzo/runtime/cim.h"

namespace mezzo {

struct EnergyEntry {
  std::string name;
  double femtojoules = 0;
  std::string source;  // where the figure was published, with its technology
};

struct EnergyTable {
  std::string name;
  std::vector<EnergyEntry> entries;
  // Throws UsageError if there is none.
  double operator[](const std::string& entry) const;
};

// "parts": each part by its own published figure. "macro": cells by what a whole macro was measured
// to take, its converters and accumulation included.
EnergyTable NamedEnergyTable(const std::string& name);
// Entries of a JSON file over those of "parts":
//   {"cell_product": {"femtojoules": 0.1, "source": "..."}, ...}
// Throws FileError naming what it refuses: unknown names, numbers below 0, a missing source.
EnergyTable ReadEnergyTable(const std::filesystem::path& path);

struct EnergyConfig {
  size_t rows = 0;      // summed by one conversion; 0: all
  int adc_bits = 0;     // 0: as many as lose nothing
  int weight_bits = 0;  // 0: the planes of each layer
  int activation_bits = 8;
  int64_t recovery_rank = 0;
  std::string recovery_format = "fp16";  // fp32, fp16 or int8
  bool weights_from_dram = false;        // once a run, rather than resident in the cells
};

// Throws UsageError naming the field that is out of range.
void CheckEnergyConfig(const EnergyConfig& config);

struct EnergyPart {
  std::string name;
  double count = 0;  // of operations, or bytes
  double femtojoules = 0;
  bool memory = false;
};

struct EnergyEstimate {
  double macs = 0;  // of the main path
  std::vector<EnergyPart> parts;
  double Femtojoules(bool with_memory = true) const;
  double TopsPerWatt(bool with_memory = true) const;
};

// `io_bytes`: the network's inputs and outputs. Throws UsageError on a config out of range.
EnergyEstimate EstimateEnergy(const std::vector<CimLayer>& layers, double io_bytes,
                              const EnergyConfig& config, const EnergyTable& table);
// What an estimate rests on, in sentences.
std::vector<std::string> EnergyAssumptions(const EnergyConfig& config, const EnergyTable& table);

// The published headline of 464 TOPS/W with rank-8 paths: the assumptions under which the estimate
// is of its order, first, and then each of them given up.
struct HeadlineCase {
  std::string assumption;
  EnergyEstimate estimate;
};
std::vector<HeadlineCase> HeadlineCases();

}  // namespace mezzo
