// What a tokenizer consists of. Readers of the formats fill it in.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "mezzo/import/tokenizer/added_tokens.h"
#include "mezzo/import/tokenizer/stages.h"
#include "mezzo/import/tokenizer/token_model.h"

namespace mezzo {

// Text passes from top to bottom, ids through the decoders.
struct TokenizerParts {
  AddedTokenFinder tokens;  // sought in the text as it comes
  std::vector<Normalizer> normalizers;
  AddedTokenFinder normalized_tokens;
  std::vector<PreTokenizer> pre_tokenizers;
  std::unique_ptr<TokenModel> model;
  std::vector<int32_t> prefix, suffix;  // what add_special puts around
  std::vector<Decoder> decoders;

  struct Added {
    std::string content;
    std::string text;  // normalized, if it is sought so: what the decoders get
    bool special;
  };
  std::unordered_map<int32_t, Added> added;
  std::optional<int32_t> bos, eos;
  std::string chat_template;

  std::string Normalized(std::string text) const;
  // To be called when normalizers and model are there. Throws FileError that begins with
  // `where`.
  void AddToken(AddedToken token, const std::string& where);
  std::optional<int32_t> Find(std::string_view token) const;
  int32_t vocabulary_size() const { return std::max(model->vocabulary.size(), added_size); }
  int32_t added_size = 0;
};

}  // namespace mezzo
