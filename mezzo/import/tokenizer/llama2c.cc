#include <cstring>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {

TokenTable ParseLlama2c(std::string_view bytes, const std::string& name) {
  const auto take = [&](size_t n, const char* what) {
    RequireFile(n <= bytes.size(), name, ": ends inside ", what);
    const std::string_view taken = bytes.substr(0, n);
    bytes.remove_prefix(n);
    return taken;
  };
  int32_t longest = 0;
  std::memcpy(&longest, take(4, "its header").data(), 4);
  TokenTable table;
  table.model = "llama";
  table.unknown = 0;
  table.bos = 1;
  table.eos = 2;
  while (!bytes.empty()) {
    float score = 0;
    int32_t length = 0;
    std::memcpy(&score, take(4, "a score").data(), 4);
    std::memcpy(&length, take(4, "a length").data(), 4);
    RequireFile(0 <= length && length <= longest, name, ": token ", table.tokens.size(), " has ",
                length, " bytes, needs 0 to ", longest);
    const std::string_view text = take(static_cast<size_t>(length), "a token");
    std::string& token = table.tokens.emplace_back();
    for (const char c : text) token += c == ' ' ? "\u2581" : std::string(1, c);
    table.scores.push_back(score);
    table.types.push_back(static_cast<int32_t>(table.tokens.size() == 1   ? TokenType::kUnknown
                                               : table.tokens.size() <= 3 ? TokenType::kControl
                                                                          : TokenType::kNormal));
  }
  return table;
}

}  // namespace mezzo
