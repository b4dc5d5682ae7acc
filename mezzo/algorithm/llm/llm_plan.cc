#include "mezzo/algorithm/llm/llm_plan.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"

namespace mezzo {
namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kMostRank = 4096;

Json Number(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

void CheckFields(const Json& json, const std::string& where, const std::set<std::string>& known) {
  RequireFile(json.is_object(), where, ": expected an object");
  for (const auto& [key, value] : json.items())
    RequireFile(known.contains(key), where, ": unknown field '", key, "'");
}

LlmPlan Read(const Json& json, const std::string& where) {
  CheckFields(json, where,
              {"mezzo_llm_plan", "quantization", "bits_per_weight", "float_head", "rotated",
               "calibration_windows", "layers"});
  RequireFile(json.at("mezzo_llm_plan") == 1, where, ".mezzo_llm_plan: got ",
              json.at("mezzo_llm_plan").dump(), ", needs 1");
  LlmPlan plan;
  plan.stored = QuantizationFromJson(json.at("quantization"), where + ".quantization");
  plan.float_head = json.value("float_head", false);
  plan.rotated = json.value("rotated", false);
  plan.calibration_windows = json.value("calibration_windows", size_t{0});
  for (const Json& layer : json.at("layers")) {
    const std::string at = where + ".layers";
    CheckFields(layer, at, {"layer", "precision", "recovery_rank", "error", "damping"});
    LayerOutcome l{layer.at("layer").get<std::string>(), NAN, 0};
    if (const auto e = layer.find("error"); e != layer.end() && !e->is_null()) l.error = *e;
    if (const auto d = layer.find("damping"); d != layer.end() && !d->is_null()) l.damping = *d;
    try {
      const auto name = layer.at("precision").get<std::string>();
      RequireFile(plan.precisions.emplace(l.name, LlmPrecisionOf(name)).second, at, ": layer ",
                  l.name, " comes twice");
    } catch (const UsageError& e) {
      throw FileError(Cat(at, ": ", l.name, ": ", e.what()));
    }
    if (const auto r = layer.find("recovery_rank"); r != layer.end()) {
      RequireFile(r->is_number_integer() && *r > 0 && *r <= kMostRank &&
                      PrecisionOf(plan.precisions, l.name) == LlmPrecision::kFourBits,
                  at, ": ", l.name, ": recovery_rank ", r->dump(), ", needs 1 to ", kMostRank,
                  ", and 4bit");
      plan.ranks[l.name] = *r;
    }
    plan.layers.push_back(std::move(l));
  }
  return plan;
}

}  // namespace

std::string ToJson(const LlmPlan& plan) {
  Json json{{"mezzo_llm_plan", 1},
            {"quantization", ToJson(plan.stored)},
            {"bits_per_weight", plan.stored.format.BitsPerWeight()},
            {"float_head", plan.float_head},
            {"rotated", plan.rotated},
            {"calibration_windows", plan.calibration_windows},
            {"layers", Json::array()}};
  for (const LayerOutcome& l : plan.layers) {
    json["layers"].push_back(
        {{"layer", l.name}, {"precision", Name(PrecisionOf(plan.precisions, l.name))}});
    if (const auto r = plan.ranks.find(l.name); r != plan.ranks.end() && r->second > 0)
      json["layers"].back()["recovery_rank"] = r->second;
    if (std::isfinite(l.error)) json["layers"].back()["error"] = Number(l.error);
    if (l.damping != 0) json["layers"].back()["damping"] = Number(l.damping);
  }
  return json.dump(1) + "\n";
}

LlmPlan LlmPlanFromJson(const std::string& text, const std::string& where) {
  try {
    return Read(Json::parse(text), where);
  } catch (const Json::exception& e) {
    throw FileError(Cat(where, ": ", e.what()));
  }
}

LlmPlan ReadLlmPlan(const std::filesystem::path& path) {
  return LlmPlanFromJson(ReadFile(path, uint64_t{1} << 30), path.string());
}

}  // namespace mezzo
