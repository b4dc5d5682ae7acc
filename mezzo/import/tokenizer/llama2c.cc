#include "mezzo/checkpoint/llama2c.h"

#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {
namespace {

TokenType TypeOf(size_t id, const std::string& text) {
  if (id == 0) return TokenType::kUnknown;
  if (id <= 2) return TokenType::kControl;
  const bool byte = text.size() == 6 && text.starts_with("<0x") && text.ends_with('>');
  return byte ? TokenType::kByte : TokenType::kNormal;
}

}  // namespace

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
    table.types.push_back(static_cast<int32_t>(TypeOf(table.tokens.size() - 1, token)));
  }
  return table;
}

}  // namespace mezzo
