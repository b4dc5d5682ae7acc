// The report of simulated chips as JSON. The charts of its page are drawn from it too.
#include "mezzo/report/chip_report.h"
#include "mezzo/report/json.h"

namespace mezzo {
namespace {

constexpr int kVersion = 1;

Json Point(const ChipPoint& p) {
  Json values = Json::array();
  for (const double v : p.values) values.push_back(JsonNumber(v));
  return {{"sigma", JsonNumber(p.sigma)},
          {"mean", JsonNumber(p.mean)},
          {"deviation", JsonNumber(p.deviation)},
          {"half_width", JsonNumber(p.half_width)},
          {"values", values}};
}

Json Layer(const ChipLayer& l) {
  return {{"node", l.node},
          {"weights", JsonNumber(l.weights)},
          {"macs", JsonNumber(l.macs)},
          {"rows", l.rows},
          {"planes", l.planes},
          {"rank", l.rank},
          {"noise", JsonNumber(l.noise)},
          {"left", JsonNumber(l.left)}};
}

Json Headline(const ChipReport& r) {
  return {{"mezzo_chip_report", kVersion},
          {"model", r.model},
          {"metric",
           {{"name", r.metric},
            {"higher_is_better", r.higher_is_better},
            {"integer_engine", JsonNumber(r.integer_engine)}}},
          {"samples", r.samples},
          {"chips", r.chips},
          {"tops_per_watt", JsonNumber(r.tops_per_watt)},
          {"tops_per_watt_without_memory", JsonNumber(r.tops_per_watt_without_memory)},
          {"threads", r.threads},
          {"cpu", r.cpu},
          {"peak_memory_bytes", JsonBytes(r.peak_memory_bytes)},
          {"stages", ToJson(r.stages)}};
}

}  // namespace

// Every list is there, if only empty: readers need no checks.
std::string ToJson(const ChipReport& r) {
  Json json = Headline(r);
  for (const char* list : {"series", "layers", "digital", "energy", "assumptions", "settings"})
    json[list] = Json::array();
  for (const ChipSeries& s : r.series) {
    Json points = Json::array();
    for (const ChipPoint& p : s.points) points.push_back(Point(p));
    json["series"].push_back(
        {{"recovery", s.recovery}, {"meaning", s.meaning}, {"points", points}});
  }
  for (const ChipLayer& l : r.layers) json["layers"].push_back(Layer(l));
  for (const std::string& name : r.digital) json["digital"].push_back(name);
  for (const ChipEnergyPart& p : r.energy)
    json["energy"].push_back({{"name", p.name}, {"femtojoules", JsonNumber(p.femtojoules)}});
  for (const std::string& line : r.assumptions) json["assumptions"].push_back(line);
  for (const auto& [option, value] : r.settings)
    json["settings"].push_back({{"option", option}, {"value", value}});
  return JsonText(json);
}

}  // namespace mezzo
