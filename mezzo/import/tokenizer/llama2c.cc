#include "mezzo/checkpoint/llama2c.h"

#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {

TokenTable ParseLlama2c(std::string_view bytes, const std::string& name) {
  TokenTable table;
  table.model = "llama";
  table.unknown = 0;
  table.bos = 1;
  table.eos = 2;
  const MappedFile file(std::vector<uint8_t>(bytes.begin(), bytes.end()), name);
  for (const Llama2cToken& t : ParseLlama2cTokenizer(file)) {
    std::string& token = table.tokens.emplace_back();
    for (const char c : t.text) token += c == ' ' ? "\u2581" : std::string(1, c);
    table.scores.push_back(t.score);
    table.types.push_back(static_cast<int32_t>(table.tokens.size() == 1   ? TokenType::kUnknown
                                               : table.tokens.size() <= 3 ? TokenType::kControl
                                                                          : TokenType::kNormal));
  }
  return table;
}

}  // namespace mezzo
