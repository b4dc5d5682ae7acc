// The headline of arXiv:2411.05845 under assumptions that are ours, not its own accounting.
#include "mezzo/algorithm/variability/energy.h"

namespace mezzo {
namespace {

struct Scene {
  int64_t width = 4096, positions = 256;
  EnergyConfig config;
  std::string table = "macro";
};

// A square layer on so many vectors; what goes in and out stays on the chip.
EnergyEstimate Estimate(const Scene& s) {
  const CimLayer layer{
      "layer", s.width, 1, s.width * s.width, 4, s.width * s.positions, s.width * s.positions};
  return EstimateEnergy({layer}, 0, s.config, NamedEnergyTable(s.table));
}

}  // namespace

std::vector<HeadlineCase> HeadlineCases() {
  Scene base;
  base.config.rows = 1152, base.config.weight_bits = 4, base.config.activation_bits = 4;
  base.config.recovery_rank = 8, base.config.recovery_format = "int8";
  std::vector<HeadlineCase> cases;
  const auto add = [&](const std::string& assumption, auto change) {
    Scene s = base;
    change(s);
    cases.push_back({assumption, Estimate(s)});
  };
  add("22 nm macro of 1152 rows, its converters and accumulation in 0.25 fJ a product of bits; "
      "4-bit weights and activations; rank 8 in int8; 4096 x 4096 on 256 vectors; weights resident",
      [](Scene&) {});
  add("no recovery", [](Scene& s) { s.config.recovery_rank = 0; });
  add("rank 32", [](Scene& s) { s.config.recovery_rank = 32; });
  add("recovery in fp16", [](Scene& s) { s.config.recovery_format = "fp16"; });
  add("layers of 1024 x 1024", [](Scene& s) { s.width = 1024; });
  add("layers of 256 x 256", [](Scene& s) { s.width = 256; });
  add("8-bit activations", [](Scene& s) { s.config.activation_bits = 8; });
  add("8-bit weights and activations",
      [](Scene& s) { s.config.weight_bits = s.config.activation_bits = 8; });
  add("one vector a run", [](Scene& s) { s.positions = 1; });
  add("weights from DRAM at each run", [](Scene& s) { s.config.weights_from_dram = true; });
  add("converters of 6 bits by the survey, digital accumulation at 45 nm",
      [](Scene& s) { s.table = "parts", s.config.adc_bits = 6; });
  add("the same with 256 rows a conversion",
      [](Scene& s) { s.table = "parts", s.config.adc_bits = 6, s.config.rows = 256; });
  return cases;
}

}  // namespace mezzo
