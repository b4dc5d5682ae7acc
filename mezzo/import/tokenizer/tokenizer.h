// Text to token ids and back: what a language model reads and writes.
//
// The vocabularies are byte pair encodings and unigram models: tokenizer.json as the `tokenizers`
// package writes it, the one inside a GGUF file, SentencePiece's tokenizer.model, llama2.c's
// tokenizer.bin.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

struct TokenizerParts;

// Copies share the vocabulary. Safe to use from several threads.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);

  // Special tokens that the text spells out become their ids. Bytes that are not UTF-8 count as
  // U+FFFD. add_special puts around it what the model expects there, such as the token that begins
  // a text.
  std::vector<int32_t> Encode(std::string_view text, bool add_special) const;
  // Well-formed UTF-8, without special tokens. Throws UsageError for an id outside the vocabulary;
  // an id without a token is nothing.
  std::string Decode(std::span<const int32_t> ids) const;

  int32_t vocabulary_size() const;           // one more than the largest id
  std::optional<int32_t> bos() const;        // begins a text
  std::optional<int32_t> eos() const;        // ends one
  const std::string& chat_template() const;  // in Jinja; empty if there is none
  std::optional<int32_t> Find(std::string_view token) const;

 private:
  std::shared_ptr<const TokenizerParts> parts_;
};

// From a checkpoint's folder, or from a file tokenizer.json, with what a tokenizer_config.json
// beside it says about bos, eos and the chat template; or from a tokenizer.model, a
// tokenizer.bin or a .gguf.
// A file that asks for what is not done here is refused: FileError with the file, the field, what
// it holds and what is needed.
Tokenizer ReadTokenizer(const std::filesystem::path& path);

}  // namespace mezzo
