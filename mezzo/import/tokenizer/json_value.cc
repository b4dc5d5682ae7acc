#include "mezzo/import/tokenizer/json_value.h"

#include <unordered_set>

#include "mezzo/base/error.h"

namespace mezzo {

using nlohmann::json;

json ParseJson(std::string_view text, const std::string& name) {
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key)
      RequireFile(keys.back().insert(parsed.get<std::string>()).second, name, ": the key ",
                  parsed.dump(), " stands twice in one object");
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception& e) {
    throw FileError(Cat(name, ": is no JSON: ", e.what()));
  }
}

void JsonValue::Refuse(std::string_view needs) const {
  const std::string text = value.is_structured() && value.size() > 8
                               ? Cat("one of ", value.size(), " parts")
                               : value.dump().substr(0, 100);
  throw FileError(Cat(where, " is ", text, ", needs ", needs));
}

const std::string& JsonValue::Text() const {
  if (!value.is_string()) Refuse("a text");
  return value.get_ref<const std::string&>();
}

bool JsonValue::Flag() const {
  if (!value.is_boolean()) Refuse("true or false");
  return value.get<bool>();
}

int64_t JsonValue::Whole(int64_t low, int64_t high) const {
  const bool fits = value.is_number_integer() && value.get<double>() >= static_cast<double>(low) &&
                    value.get<double>() <= static_cast<double>(high);
  if (!fits) Refuse(Cat("a whole number from ", low, " to ", high));
  return value.get<int64_t>();
}

std::vector<JsonValue> JsonValue::Items() const {
  if (!value.is_array()) Refuse("a list");
  std::vector<JsonValue> items;
  for (size_t i = 0; i < value.size(); ++i) items.push_back({value[i], Cat(where, "[", i, "]")});
  return items;
}

JsonObject::JsonObject(JsonValue value) : value_(std::move(value)) {
  if (!value_.value.is_object()) value_.Refuse("an object");
}

std::optional<JsonValue> JsonObject::Take(const std::string& key) {
  known_.insert(key);
  const auto it = value_.value.find(key);
  if (it == value_.value.end() || it->is_null()) return std::nullopt;
  return JsonValue{*it, Cat(value_.where, value_.where.ends_with(": ") ? "" : ".", key)};
}

JsonValue JsonObject::Need(const std::string& key) {
  auto value = Take(key);
  RequireFile(value.has_value(), value_.where, " lacks the field '", key, "'");
  return *std::move(value);
}

bool JsonObject::Flag(const std::string& key, bool otherwise) {
  const auto value = Take(key);
  return value ? value->Flag() : otherwise;
}

void JsonObject::End() const {
  for (const auto& [key, unused] : value_.value.items())
    RequireFile(known_.contains(key), value_.where, ": the field '", key, "' is not supported");
}

}  // namespace mezzo
