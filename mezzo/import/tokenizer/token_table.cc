#include "mezzo/import/tokenizer/token_table.h"

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/bpe.h"
#include "mezzo/import/tokenizer/parts.h"
#include "mezzo/import/tokenizer/unicode.h"
#include "mezzo/import/tokenizer/unigram.h"

namespace mezzo {
namespace {

// How the kinds of byte-level vocabularies cut text into words.
struct Words {
  std::string_view pre;
  bool single_digits;  // before anything else
  const char* pattern;
  bool normalized;  // to NFC. llama.cpp leaves it out; the model was trained with it
  bool ignore_merges, add_bos;
};
constexpr char kLlama3Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen2Words[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr Words kWords[] = {
    {"gpt-2", false, kGpt2Words, false, false, false},
    {"smollm", true, kGpt2Words, false, false, false},
    {"qwen2", false, kQwen2Words, true, false, false},
    {"llama-bpe", false, kLlama3Words, false, true, true},
};

const Words& FindWords(const std::string& pre, const std::string& name) {
  std::string known;
  for (const Words& words : kWords) {
    if (words.pre == pre) return words;
    known += (known.empty() ? "" : ", ") + std::string(words.pre);
  }
  throw FileError(Cat(name, ": tokenizer.ggml.pre is '", pre, "', supported are ", known));
}

void AddMerges(const TokenTable& table, const std::string& name, Bpe* model) {
  for (size_t i = 0; i < table.merges.size(); ++i) {
    const std::string_view merge = table.merges[i];
    const size_t space = std::min(merge.find(' '), merge.size());
    const std::string_view left = merge.substr(0, space),
                           right = merge.substr(std::min(space + 1, merge.size()));
    const auto l = model->vocabulary.Find(left), r = model->vocabulary.Find(right),
               merged = model->vocabulary.Find(Cat(left, right));
    RequireFile(l && r && merged, name, ": tokenizer.ggml.merges[", i, "] is '", merge,
                "', needs two tokens with a space between them that make a token");
    model->AddMerge(*l, *r, static_cast<int32_t>(i), *merged);
  }
}

// Every way to make a token of two; ranks count the distinct scores from the highest.
void AddMergesByScore(const TokenTable& table, Bpe* model) {
  std::map<float, int32_t, std::greater<>> ranks;
  for (const float score : table.scores) ranks[score];
  int32_t next = 0;
  for (auto& [score, rank] : ranks) rank = next++;
  for (size_t id = 0; id < table.tokens.size(); ++id) {
    const std::string_view token = table.tokens[id];
    for (size_t i = 0; i < token.size(); i += NextCodePoint(token, i).size()) {
      const auto left = model->vocabulary.Find(token.substr(0, i)),
                 right = model->vocabulary.Find(token.substr(i));
      if (left && right && i > 0)
        model->AddMerge(*left, *right, ranks[table.scores[id]], static_cast<int32_t>(id));
    }
  }
}

void SetUpWords(const TokenTable& table, const Words& words, const std::string& name,
                Vocabulary vocabulary, TokenizerParts* parts) {
  auto model = std::make_unique<Bpe>();
  model->vocabulary = std::move(vocabulary);
  model->ignore_merges = words.ignore_merges;
  AddMerges(table, name, model.get());
  parts->model = std::move(model);
  if (words.normalized)
    parts->normalizers = {[](const std::string& t) { return Normalize(t, NormalForm::kNfc); }};
  if (words.single_digits) parts->pre_tokenizers = {SplitAtDigits(true)};
  parts->pre_tokenizers.push_back(SplitAt(Regex(words.pattern, name), SplitBehavior::kIsolated));
  parts->pre_tokenizers.push_back(
      SplitToBytes(table.add_space_prefix.value_or(false), /*use_regex=*/false));
  parts->decoders = {DecodeBytes()};
}

void CheckScores(const TokenTable& table, const std::string& name) {
  RequireFile(table.scores.size() == table.tokens.size(), name, ": tokenizer.ggml.scores has ",
              table.scores.size(), " numbers, needs ", table.tokens.size());
  for (const float score : table.scores)
    RequireFile(!std::isnan(score), name, ": tokenizer.ggml.scores holds NaN");
}

void SetUpPairs(const TokenTable& table, const std::string& name, Vocabulary vocabulary,
                TokenizerParts* parts) {
  CheckScores(table, name);
  auto model = std::make_unique<Bpe>();
  model->vocabulary = std::move(vocabulary);
  AddMergesByScore(table, model.get());
  model->UseByteTokens();
  model->unknown = table.unknown;
  model->fuse_unknown = true;
  parts->model = std::move(model);
  const bool prefix = table.add_space_prefix.value_or(true);
  if (prefix) parts->normalizers = {PrependText(" ")};
  parts->normalizers.push_back(ReplaceMatches(Regex::Literal(" ", name), kSpaceMark));
  parts->decoders = {ReplaceInTexts(Regex::Literal(kSpaceMark, name), " "), DecodeByteTokens(),
                     JoinTexts(""), StripTexts(" ", prefix ? 1 : 0, 0)};
}

TokenType TypeOf(const TokenTable& table, size_t id) {
  return table.types.empty() ? TokenType::kNormal : static_cast<TokenType>(table.types[id]);
}

// Scores as SentencePiece 0.2.3 has them, in its precision.
std::unique_ptr<TokenModel> MakeUnigram(const TokenTable& table, const std::string& name,
                                        Vocabulary vocabulary) {
  CheckScores(table, name);
  RequireFile(table.unknown.has_value(), name,
              ": tokenizer.ggml.unknown_token_id is missing, a unigram model needs it");
  float lowest = FLT_MAX;
  bool byte_tokens = false;
  std::vector<Unigram::Piece> pieces;
  for (size_t id = 0; id < table.tokens.size(); ++id) {
    const TokenType type = TypeOf(table, id);
    const auto piece = static_cast<int32_t>(id);
    if (type == TokenType::kNormal) {
      lowest = std::min(lowest, table.scores[id]);
      pieces.push_back({piece, table.scores[id]});
    } else if (type == TokenType::kUserDefined) {
      pieces.push_back({piece, 0.1f * (static_cast<float>(table.tokens[id].size()) - 1)});
    }
    byte_tokens |= type == TokenType::kByte;
  }
  auto model = std::make_unique<Unigram>(std::move(vocabulary), pieces, *table.unknown,
                                         lowest - 10.0f, Unigram::Sums::kFloat);
  if (byte_tokens) model->UseByteTokens();
  return model;
}

void SetUpUnigram(const TokenTable& table, const std::string& name, Vocabulary vocabulary,
                  TokenizerParts* parts) {
  parts->model = MakeUnigram(table, name, std::move(vocabulary));
  PieceNormalizer normalizer;
  normalizer.add_prefix = table.add_space_prefix.value_or(true);
  normalizer.remove_extra_spaces = table.remove_extra_whitespaces.value_or(false);
  if (!table.precompiled_charsmap.empty())
    normalizer.map = std::make_shared<Charsmap>(table.precompiled_charsmap, name);
  std::vector<Trie::Entry> kept;
  for (size_t id = 0; id < table.tokens.size(); ++id)
    if (TypeOf(table, id) == TokenType::kUserDefined)
      kept.push_back({table.tokens[id], static_cast<int32_t>(id)});
  normalizer.kept = Trie(std::move(kept));
  parts->decoders = {DecodePieces(normalizer.add_prefix, normalizer.remove_extra_spaces)};
  parts->normalizers = {std::move(normalizer)};
}

void CheckTable(const TokenTable& table, const std::string& name) {
  const size_t n = table.tokens.size();
  RequireFile(n > 0, name, ": tokenizer.ggml.tokens is empty");
  RequireFile(table.types.empty() || table.types.size() == n, name,
              ": tokenizer.ggml.token_type has ", table.types.size(), " numbers, needs ", n);
  for (size_t id = 0; id < n; ++id) {
    RequireFile(ReplaceInvalidUtf8(table.tokens[id]) == table.tokens[id], name,
                ": tokenizer.ggml.tokens[", id, "] is no UTF-8");
    RequireFile(TokenType::kNormal <= TypeOf(table, id) && TypeOf(table, id) <= TokenType::kByte,
                name, ": tokenizer.ggml.token_type[", id, "] is ",
                static_cast<int>(TypeOf(table, id)), ", needs 1 to 6");
  }
  for (const auto& [field, id] : {std::pair{"bos", table.bos}, std::pair{"eos", table.eos},
                                  std::pair{"unknown", table.unknown}})
    RequireFile(!id || (0 <= *id && static_cast<size_t>(*id) < n), name, ": tokenizer.ggml.", field,
                "_token_id is ", id.value_or(0), ", needs a number below ", n);
}

}  // namespace

std::vector<std::string_view> WordKinds() {
  std::vector<std::string_view> kinds;
  for (const Words& words : kWords) kinds.push_back(words.pre);
  return kinds;
}

Tokenizer MakeTokenizer(const TokenTable& table, const std::string& name) {
  CheckTable(table, name);
  Vocabulary vocabulary;
  for (size_t id = 0; id < table.tokens.size(); ++id)
    vocabulary.Add(table.tokens[id], static_cast<int64_t>(id), name + ": tokenizer.ggml.tokens");

  TokenizerParts parts;
  const bool unigram = table.model == "t5";
  bool add_bos = !unigram;
  if (table.model == "gpt2") {
    const Words& words = FindWords(table.pre, name);
    SetUpWords(table, words, name, std::move(vocabulary), &parts);
    add_bos = words.add_bos;
  } else if (unigram) {
    SetUpUnigram(table, name, std::move(vocabulary), &parts);
  } else {
    RequireFile(table.model == "llama", name, ": tokenizer.ggml.model is '", table.model,
                "', needs gpt2, llama or t5");
    SetUpPairs(table, name, std::move(vocabulary), &parts);
  }
  for (size_t id = 0; id < table.tokens.size(); ++id) {
    const TokenType type = TypeOf(table, id);
    AddedToken token{table.tokens[id], static_cast<int32_t>(id)};
    token.special = type == TokenType::kControl || type == TokenType::kUnknown;
    if (token.special || (type == TokenType::kUserDefined && !unigram)) parts.AddToken(token, name);
  }
  if (table.bos && table.add_bos.value_or(add_bos)) parts.prefix = {*table.bos};
  if (table.eos && table.add_eos.value_or(unigram)) parts.suffix = {*table.eos};
  parts.bos = table.bos;
  parts.eos = table.eos;
  parts.chat_template = table.chat_template;
  return Tokenizer(std::move(parts));
}

}  // namespace mezzo
