// Vocabularies that are tables of tokens: the one in a GGUF file's metadata, SentencePiece's
// tokenizer.model, llama2.c's tokenizer.bin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/checkpoint/gguf.h"
#include "mezzo/import/tokenizer/tokenizer.h"

namespace mezzo {

enum class TokenType { kNormal = 1, kUnknown, kControl, kUserDefined, kUnused, kByte };

// The fields tokenizer.ggml.* of the same names.
struct TokenTable {
  // "gpt2": byte-level, merged by `merges` ("left right"), cut into words as `pre` says, one of
  // WordKinds(). "llama": SentencePiece's pairs by scores, with byte tokens. "t5": its unigram
  // models, where user-defined tokens are pieces like others.
  std::string model, pre;
  std::vector<std::string> tokens;  // by id
  std::vector<float> scores;        // for "llama" and "t5", one for each token
  std::vector<int32_t> types;       // TokenType, one for each token; none: all are normal
  std::vector<std::string> merges;
  std::optional<int32_t> bos, eos, unknown;
  // Without a value: what the kind of vocabulary does by default.
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  // For "t5" alone:
  std::optional<bool> remove_extra_whitespaces;
  std::string precompiled_charsmap;  // empty: text is not normalized
  std::string chat_template;
};

// Throws FileError that begins with `name` and names the field.
Tokenizer MakeTokenizer(const TokenTable& table, const std::string& name);

std::vector<std::string_view> WordKinds();  // gpt-2, smollm, qwen2, llama-bpe

// The tokenizer of a checkpoint's folder, or the file that `path` is, as a table of `size` tokens:
// ids without a token become unused ones. Encodes as the tokenizer itself does. FileError naming
// the file if no table does, or if it has more tokens.
TokenTable TableOf(const std::filesystem::path& path, size_t size);
// The file of a folder that ReadTokenizer reads; `path` itself if it is a file.
std::filesystem::path TokenizerFile(const std::filesystem::path& path);
// A tokenizer.model, a tokenizer.bin or a .gguf.
TokenTable ReadTable(const std::filesystem::path& file);

// TableOf as the fields of a GGUF file; from a .gguf, all that it says of its tokenizer.
GgufMetadata TokenizerMetadata(const std::filesystem::path& path, size_t size);
// The fields of a GGUF file that are its tokenizer.
GgufMetadata TokenizerMetadata(const Gguf& file);

// FileError naming the key that is missing or has another type.
TokenTable TokensOf(const Gguf& file);
// A tokenizer.model of type unigram, or of type BPE without normalization, as Llama 2's.
TokenTable ParseSentencePiece(std::string_view bytes, const std::string& name);
// largest length (int32) | score (float), length (int32), text | ..., in little-endian order.
// Spaces are spaces, 1 begins a text and 2 ends it.
TokenTable ParseLlama2c(std::string_view bytes, const std::string& name);

}  // namespace mezzo
