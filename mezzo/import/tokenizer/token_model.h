// What turns words into tokens.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "mezzo/import/tokenizer/vocabulary.h"

namespace mezzo {

class TokenModel {
 public:
  virtual ~TokenModel() = default;

  // Appends the tokens of a word, which is well-formed UTF-8. Safe to call from several threads.
  virtual void Encode(std::string_view word, std::vector<int32_t>* ids) const = 0;

  // From now on the vocabulary's tokens <0x00> to <0xFF> stand for the bytes of what is no token,
  // if all it needs are there.
  void UseByteTokens();

  Vocabulary vocabulary;
  std::optional<int32_t> unknown;  // for what is no token

 protected:
  bool AppendByteTokens(std::string_view text, std::vector<int32_t>* ids) const;

 private:
  std::array<std::optional<int32_t>, 256> byte_tokens_;
};

}  // namespace mezzo
