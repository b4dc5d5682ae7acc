// The figures and where they were published.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/algorithm/variability/energy.h"
#include "mezzo/base/files.h"

namespace mezzo {
namespace {

constexpr const char* kMacro =
    "IMAGINE, arXiv:2412.19750, 22 nm FD-SOI, 1152 rows: 8 POPS/W at 1 bit, so 2 / 8e15 J; "
    "measured on the whole macro";
constexpr const char* kHorowitz =
    "Horowitz, Computing's Energy Problem, ISSCC 2014, 45 nm, 0.9 V: ";
constexpr const char* kAdc =
    "Gonugondla et al., arXiv:2012.13645: k1 * bits + k2 * 4^bits with k1 = 100 fJ, k2 = 1 aJ, "
    "after Murmann's ADC survey";

// Digital figures in femtojoules, times `scale` with the words that say so.
void AddDigital(EnergyTable& table, double scale, const std::string& scaled) {
  const auto add = [&](const char* name, double fj, const char* what) {
    table.entries.push_back({name, fj * scale, std::string(kHorowitz) + what + scaled});
  };
  add("fp32_mac", 4600, "3.7 pJ multiply + 0.9 pJ add");
  add("fp16_mac", 1500, "1.1 pJ multiply + 0.4 pJ add");
  add("int8_mac", 300, "0.2 pJ 8-bit multiply + 0.1 pJ 32-bit add");
  add("sram_byte", 1250, "10 pJ for 64 bits of an 8 KB cache");
  table.entries.push_back(
      {"dram_byte", 162500, std::string(kHorowitz) + "1.3 nJ for 64 bits, the least given"});
}

}  // namespace

double EnergyTable::operator[](const std::string& entry) const {
  for (const EnergyEntry& e : entries)
    if (e.name == entry) return e.femtojoules;
  throw UsageError(Cat("the energy table ", name, " has no ", entry));
}

EnergyTable NamedEnergyTable(const std::string& name) {
  Require(name == "parts" || name == "macro", "--energy: got ", name,
          ", needs parts, macro or a .json file");
  EnergyTable table{name, {}};
  if (name == "parts") {
    table.entries = {{"cell_product", 0.25,
                      std::string(kMacro) + ", its converters included: an upper bound for cells"},
                     {"adc_bit", 100, kAdc},
                     {"adc_4_to_bits", 0.001, kAdc},
                     {"accumulate", 100, std::string(kHorowitz) + "32-bit add"}};
    AddDigital(table, 1, "");
  } else {
    const std::string in_macro = "counted in cell_product";
    table.entries = {{"cell_product", 0.25, kMacro},
                     {"adc_bit", 0, in_macro},
                     {"adc_4_to_bits", 0, in_macro},
                     {"accumulate", 0, in_macro}};
    AddDigital(table, 22.0 / 45, ", times 22/45: capacitance as the length, the same voltage");
  }
  return table;
}

EnergyTable ReadEnergyTable(const std::filesystem::path& path) {
  const std::string file = path.string();
  const auto json = nlohmann::json::parse(ReadFile(file), nullptr, false);
  RequireFile(json.is_object(), file, ": is no JSON object");
  EnergyTable table = NamedEnergyTable("parts");
  table.name = file;
  for (const auto& [name, value] : json.items()) {
    const auto at = std::find_if(table.entries.begin(), table.entries.end(),
                                 [&, &n = name](const EnergyEntry& e) { return e.name == n; });
    RequireFile(at != table.entries.end(), file, ": '", name, "' is no operation that is counted");
    RequireFile(value.is_object() && value.contains("femtojoules") &&
                    value["femtojoules"].is_number() && value.contains("source") &&
                    value["source"].is_string(),
                file, ": ", name, " needs femtojoules, a number, and source, a text");
    at->femtojoules = value["femtojoules"].get<double>();
    at->source = value["source"].get<std::string>();
    RequireFile(std::isfinite(at->femtojoules) && at->femtojoules >= 0, file, ": ", name, " is ",
                at->femtojoules, " fJ, needs 0 or more");
  }
  return table;
}

}  // namespace mezzo
