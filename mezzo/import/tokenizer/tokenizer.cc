#include "mezzo/import/tokenizer/tokenizer.h"

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/parts.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

// Encodes words one after the other. A word seen before is copied from where its ids stand.
class WordEncoder {
 public:
  WordEncoder(const TokenModel& model, std::vector<int32_t>* ids) : model_(model), ids_(*ids) {}

  void operator()(std::string_view word) {
    constexpr size_t kMaxKept = 64;  // bytes; longer words seldom come again
    if (word.size() > kMaxKept) return model_.Encode(word, &ids_);
    const size_t begin = ids_.size();
    if (const auto it = seen_.find(word); it != seen_.end()) {
      const auto [from, count] = it->second;
      ids_.resize(begin + count);
      std::copy_n(ids_.begin() + static_cast<ptrdiff_t>(from), count,
                  ids_.begin() + static_cast<ptrdiff_t>(begin));
      return;
    }
    model_.Encode(word, &ids_);
    seen_.emplace(word, std::pair(begin, ids_.size() - begin));
  }

 private:
  const TokenModel& model_;
  std::vector<int32_t>& ids_;
  TextMap<std::pair<size_t, size_t>> seen_;  // where in ids_, how many
};

}  // namespace

std::string TokenizerParts::Normalized(std::string text) const {
  for (const Normalizer& normalizer : normalizers) text = normalizer(text);
  return text;
}

void TokenizerParts::AddToken(AddedToken token, const std::string& where) {
  const int32_t id = token.id;
  RequireFile(0 <= id && id < Vocabulary::kMaxSize, where, ": the token '", token.content,
              "' has the id ", id, ", needs one from 0 to ", Vocabulary::kMaxSize - 1);
  const auto known = model->vocabulary.Find(token.content);
  const std::string* other = model->vocabulary.Text(id);
  RequireFile(known ? *known == id : other == nullptr, where, ": the token '", token.content,
              "' has the id ", id, ", but the vocabulary has it ",
              known ? Cat("as ", *known) : Cat("for '", other ? *other : "", "'"));
  const std::string pattern = token.normalized ? Normalized(token.content) : token.content;
  RequireFile(added.emplace(id, Added{token.content, pattern, token.special}).second, where,
              ": the id ", id, " is given to two added tokens");
  AddedTokenFinder& finder = token.normalized ? normalized_tokens : tokens;
  RequireFile(finder.Add(pattern, token), where, ": the added token '", token.content,
              "' is empty, or another one looks the same");
  added_size = std::max(added_size, id + 1);
}

std::optional<int32_t> TokenizerParts::Find(std::string_view token) const {
  if (const auto id = model->vocabulary.Find(token)) return id;
  for (const auto& [id, other] : added)
    if (other.content == token) return id;
  return std::nullopt;
}

Tokenizer::Tokenizer(TokenizerParts parts)
    : parts_(std::make_shared<const TokenizerParts>(std::move(parts))) {}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special) const {
  const TokenizerParts& p = *parts_;
  const std::string input = ReplaceInvalidUtf8(text);
  std::vector<int32_t> ids;
  if (add_special) ids = p.prefix;
  WordEncoder encode(*p.model, &ids);
  const Word word = std::ref(encode);
  p.tokens.Split(input, [&](std::string_view raw, const AddedToken* token) {
    if (token) return ids.push_back(token->id);
    const std::string normalized = p.Normalized(std::string(raw));
    p.normalized_tokens.Split(normalized, [&](std::string_view part, const AddedToken* inner) {
      if (inner) return ids.push_back(inner->id);
      const bool first = raw.data() == input.data() && part.data() == normalized.data();
      PreTokenize(p.pre_tokenizers, part, first, word);
    });
  });
  if (add_special) ids.insert(ids.end(), p.suffix.begin(), p.suffix.end());
  return ids;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids) const {
  const TokenizerParts& p = *parts_;
  std::vector<std::string> texts;
  for (const int32_t id : ids) {
    Require(0 <= id && id < vocabulary_size(), "tokenizer: got the id ", id,
            ", needs one from 0 to ", vocabulary_size() - 1);
    if (const auto it = p.added.find(id); it != p.added.end()) {
      if (!it->second.special) texts.push_back(it->second.text);
    } else if (const std::string* token = p.model->vocabulary.Text(id)) {
      texts.push_back(*token);
    }
  }
  for (const Decoder& decoder : p.decoders) decoder(&texts);
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

int32_t Tokenizer::vocabulary_size() const { return parts_->vocabulary_size(); }
std::optional<int32_t> Tokenizer::bos() const { return parts_->bos; }
std::optional<int32_t> Tokenizer::eos() const { return parts_->eos; }
const std::string& Tokenizer::chat_template() const { return parts_->chat_template; }

std::optional<int32_t> Tokenizer::Find(std::string_view token) const { return parts_->Find(token); }

}  // namespace mezzo
