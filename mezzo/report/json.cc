#include "mezzo/report/json.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace mezzo {

Json JsonNumber(double v) {
  if (!std::isfinite(v)) return nullptr;
  char text[32];
  std::snprintf(text, sizeof(text), "%.6g", v);
  return std::strtod(text, nullptr);
}

Json JsonBytes(double v) {
  return std::isfinite(v) ? Json(static_cast<int64_t>(v)) : Json(nullptr);
}

Json ToJson(const std::vector<ReportStage>& stages) {
  Json json = Json::array();
  for (const ReportStage& s : stages)
    json.push_back({{"name", s.name}, {"seconds", JsonNumber(s.seconds)}});
  return json;
}

std::string JsonText(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace mezzo
