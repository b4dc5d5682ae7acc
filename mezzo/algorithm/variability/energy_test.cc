#include "mezzo/algorithm/variability/energy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"

namespace mezzo {
namespace {

double Part(const EnergyEstimate& e, const std::string& name) {
  for (const EnergyPart& p : e.parts)
    if (p.name == name) return p.femtojoules;
  return NAN;
}

// Two groups of 10 x 3 with 5 positions, in chunks of 4: by hand.
TEST(Energy, CountsEveryPart) {
  const CimLayer layer{"l", 10, 2, 60, 8, 100, 30};
  EnergyConfig c;
  c.rows = 4, c.adc_bits = 3, c.recovery_rank = 2, c.weights_from_dram = true;
  const EnergyEstimate e = EstimateEnergy({layer}, 7, c, NamedEnergyTable("parts"));
  EXPECT_EQ(e.macs, 300);
  EXPECT_DOUBLE_EQ(Part(e, "cells"), 300 * 64 * 0.25);
  EXPECT_DOUBLE_EQ(Part(e, "converters"), 30 * 3 * 64 * (300 + 0.064));
  EXPECT_DOUBLE_EQ(Part(e, "accumulation"), 30 * 3 * 64 * 100.0);
  EXPECT_DOUBLE_EQ(Part(e, "recovery"), 2 * (20 + 6) * 5 * 1500.0);
  EXPECT_DOUBLE_EQ(Part(e, "SRAM"), (130 + 2 * 26 * 2) * 1250.0);
  EXPECT_DOUBLE_EQ(Part(e, "DRAM"), (7 + 60) * 162500.0);
  EXPECT_DOUBLE_EQ(e.TopsPerWatt(), 600 / e.Femtojoules() * 1000);
  EXPECT_LT(e.Femtojoules(false), e.Femtojoules());
}

// 1 pJ for an operation is 1 TOPS/W.
TEST(Energy, UnitsAreThoseOfTopsPerWatt) {
  EXPECT_DOUBLE_EQ((EnergyEstimate{1, {{"x", 1, 2000}}}.TopsPerWatt()), 1);
}

TEST(Energy, IdealConvertersTellAllSumsApart) {
  const CimLayer layer{"l", 256, 1, 256, 1, 256, 1};
  EnergyConfig c;  // sums of 0 to 256 need 9 bits
  c.activation_bits = 1;
  const EnergyEstimate e = EstimateEnergy({layer}, 0, c, NamedEnergyTable("parts"));
  EXPECT_DOUBLE_EQ(Part(e, "converters"), 900 + 0.001 * std::pow(4, 9));
}

TEST(Energy, TheHeadlineHoldsUnderItsAssumptionsOnly) {
  const std::vector<HeadlineCase> cases = HeadlineCases();
  EXPECT_NEAR(cases[0].estimate.TopsPerWatt(false), 464, 0.1 * 464);
  for (size_t i = 2; i < cases.size(); ++i)
    if (cases[i].assumption != "one vector a run" &&
        cases[i].assumption != "weights from DRAM at each run")
      EXPECT_LT(cases[i].estimate.TopsPerWatt(false), cases[0].estimate.TopsPerWatt(false));
    else
      EXPECT_LT(cases[i].estimate.TopsPerWatt(), cases[0].estimate.TopsPerWatt());
}

TEST(Energy, EveryDefaultHasASource) {
  for (const char* name : {"parts", "macro"})
    for (const EnergyEntry& e : NamedEnergyTable(name).entries) {
      EXPECT_FALSE(e.source.empty()) << e.name;
      EXPECT_EQ(NamedEnergyTable(name)[e.name], e.femtojoules);
    }
  EXPECT_THROW(NamedEnergyTable("no"), UsageError);
}

TEST(Energy, TablesAreReadOverTheDefaults) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "table.json";
  const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
  write(R"({"cell_product": {"femtojoules": 0.5, "source": "mine"}})");
  const EnergyTable table = ReadEnergyTable(path);
  EXPECT_EQ(table["cell_product"], 0.5);
  EXPECT_EQ(table.entries[0].source, "mine");
  EXPECT_EQ(table["adc_bit"], 100);
  for (const char* bad :
       {"[]", "{", R"({"cell": {"femtojoules": 1, "source": ""}})", R"({"adc_bit": 3})",
        R"({"adc_bit": {"femtojoules": 3}})", R"({"adc_bit": {"femtojoules": -3, "source": ""}})",
        R"({"adc_bit": {"femtojoules": "3", "source": ""}})"}) {
    write(bad);
    EXPECT_THROW(ReadEnergyTable(path), FileError) << bad;
  }
}

TEST(Energy, RefusesWhatItCannotEstimate) {
  const CimLayer layer{"l", 10, 1, 60, 8, 100, 30};
  const auto refuses = [&](auto change) {
    EnergyConfig c;
    change(c);
    EXPECT_THROW(EstimateEnergy({layer}, 0, c, NamedEnergyTable("parts")), UsageError);
  };
  refuses([](EnergyConfig& c) { c.recovery_format = "nf4"; });
  refuses([](EnergyConfig& c) { c.recovery_rank = -1; });
  refuses([](EnergyConfig& c) { c.activation_bits = 0; });
  refuses([](EnergyConfig& c) { c.weight_bits = 17; });
  EXPECT_THROW(EstimateEnergy({}, 0, {}, NamedEnergyTable("parts")), UsageError);
}

}  // namespace
}  // namespace mezzo
