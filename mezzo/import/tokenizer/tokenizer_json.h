// tokenizer.json, as the `tokenizers` package (0.23) writes it. Ids are those of that package.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "mezzo/import/tokenizer/parts.h"
#include "mezzo/import/tokenizer/tokenizer.h"

namespace mezzo {

// The texts of tokenizer.json and tokenizer_config.json (empty: there is none), and their names for
// messages.
struct TokenizerJson {
  std::string name;
  std::string text;
  std::string config_name;
  std::string config;
};
Tokenizer ParseTokenizerJson(const TokenizerJson& files);

// The parts of the file, in json_stages.cc and json_model.cc. Each throws FileError.
struct JsonValue;
std::vector<Normalizer> NormalizersFromJson(const JsonValue& value);
std::vector<PreTokenizer> PreTokenizersFromJson(const JsonValue& value);
std::vector<Decoder> DecodersFromJson(const JsonValue& value);
std::unique_ptr<TokenModel> ModelFromJson(const JsonValue& value);

}  // namespace mezzo
