// Reading JSON strictly: every refusal names the file and the field, what it holds and what is
// needed; a field that nobody asked for is refused too.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

// The file's text, which may be hostile. A key that stands twice in an object is refused.
nlohmann::json ParseJson(std::string_view text, const std::string& name);

struct JsonValue {
  const nlohmann::json& value;
  std::string where;  // FILE: field.field[3]

  [[noreturn]] void Refuse(std::string_view needs) const;
  const std::string& Text() const;
  bool Flag() const;
  int64_t Whole(int64_t low, int64_t high) const;
  std::vector<JsonValue> Items() const;
};

// An object whose fields are taken one by one.
class JsonObject {
 public:
  explicit JsonObject(JsonValue value);

  std::optional<JsonValue> Take(const std::string& key);  // null counts as absent
  JsonValue Need(const std::string& key);
  bool Flag(const std::string& key, bool otherwise);
  // To be called in the end: what has not been taken is unknown.
  void End() const;
  const std::string& where() const { return value_.where; }

 private:
  JsonValue value_;
  std::set<std::string> known_;
};

}  // namespace mezzo
