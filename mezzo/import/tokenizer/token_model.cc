#include "mezzo/import/tokenizer/token_model.h"

#include <cstdio>

namespace mezzo {

void TokenModel::UseByteTokens() {
  for (unsigned b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", b);
    byte_tokens_[b] = vocabulary.Find(name);
  }
}

bool TokenModel::AppendByteTokens(std::string_view text, std::vector<int32_t>* ids) const {
  const auto token = [&](char c) { return byte_tokens_[static_cast<unsigned char>(c)]; };
  for (const char c : text)
    if (!token(c)) return false;
  for (const char c : text) ids->push_back(*token(c));
  return true;
}

}  // namespace mezzo
