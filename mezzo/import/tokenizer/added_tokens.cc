#include "mezzo/import/tokenizer/added_tokens.h"

#include <algorithm>

#include "mezzo/import/tokenizer/regex.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

constexpr char kSpace[] = R"(\s)", kWord[] = R"([\w\x{200c}\x{200d}])";  // with the joiners

bool Is(const char* what, std::string_view code_point) {
  static const Regex space(kSpace, "white space"), word(kWord, "word");
  return (what == kSpace ? space : word).Finds(code_point);
}

std::string_view LastCodePoint(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (text[begin] & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

bool WordBefore(std::string_view text, size_t at) {
  return at > 0 && Is(kWord, LastCodePoint(text.substr(0, at)));
}
bool WordAfter(std::string_view text, size_t at) {
  return at < text.size() && Is(kWord, NextCodePoint(text, at));
}

}  // namespace

bool AddedTokenFinder::Add(const std::string& pattern, AddedToken token) {
  if (pattern.empty() || !tokens_.emplace(pattern, std::move(token)).second) return false;
  auto& lengths = lengths_[static_cast<unsigned char>(pattern[0])];
  const auto place =
      std::lower_bound(lengths.begin(), lengths.end(), pattern.size(), std::greater<>());
  if (place == lengths.end() || *place != pattern.size()) lengths.insert(place, pattern.size());
  return true;
}

const AddedToken* AddedTokenFinder::At(std::string_view text, size_t at, size_t* bytes) const {
  for (const size_t length : lengths_[static_cast<unsigned char>(text[at])]) {
    if (length > text.size() - at) continue;
    const auto it = tokens_.find(text.substr(at, length));
    if (it == tokens_.end()) continue;
    *bytes = length;
    return &it->second;
  }
  return nullptr;
}

void AddedTokenFinder::Split(std::string_view text, const Piece& piece) const {
  size_t done = 0, bytes = 1;
  for (size_t i = 0; i < text.size(); i += bytes) {
    bytes = 1;
    const AddedToken* token = At(text, i, &bytes);
    if (!token) continue;
    size_t begin = i, end = i + bytes;
    if (token->single_word && (WordBefore(text, begin) || WordAfter(text, end))) continue;
    if (token->lstrip)
      while (begin > done) {
        const std::string_view last = LastCodePoint(text.substr(0, begin));
        if (!Is(kSpace, last)) break;
        begin -= last.size();
      }
    if (token->rstrip)
      while (end < text.size() && Is(kSpace, NextCodePoint(text, end)))
        end += NextCodePoint(text, end).size();
    if (done < begin) piece(text.substr(done, begin - done), nullptr);
    piece(text.substr(begin, end - begin), token);
    done = end;
  }
  if (done < text.size()) piece(text.substr(done), nullptr);
}

}  // namespace mezzo
