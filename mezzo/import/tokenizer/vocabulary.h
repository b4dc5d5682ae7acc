// Tokens by id and back.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mezzo {

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

class Vocabulary {
 public:
  static constexpr int64_t kMaxSize = 1 << 22;

  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;  // no copies: texts_ points into ids_
  Vocabulary& operator=(Vocabulary&&) = default;

  // Throws FileError, beginning with `where`, if the text or the id is there already, or if the id
  // is outside [0, kMaxSize).
  void Add(std::string text, int64_t id, const std::string& where);

  std::optional<int32_t> Find(std::string_view text) const;
  // nullptr for an id without a token.
  const std::string* Text(int64_t id) const;
  // One more than the largest id; 0 without tokens.
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }

 private:
  TextMap<int32_t> ids_;
  std::vector<const std::string*> texts_;
};

}  // namespace mezzo
