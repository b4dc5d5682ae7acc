// Small pieces of the reports' JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mezzo/report/report.h"

namespace mezzo {

using Json = nlohmann::ordered_json;

// Six digits tell more than anyone reads off a page, and keep it small; null for what is not
// finite.
Json JsonNumber(double v);
// Whole bytes.
Json JsonBytes(double v);
Json ToJson(const std::vector<ReportStage>& stages);

// Bytes that are not UTF-8 become U+FFFD; `indent` as nlohmann's dump takes it.
std::string JsonText(const Json& json, int indent = -1);

}  // namespace mezzo
