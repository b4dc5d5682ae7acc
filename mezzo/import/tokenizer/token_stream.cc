#include "mezzo/import/tokenizer/token_stream.h"

#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {

std::string TokenStream::Push(int32_t id) {
  pending_.push_back(id);
  return Flush(false);
}

std::string TokenStream::Finish() {
  const std::string rest = Flush(true);
  told_.clear();
  pending_.clear();
  return rest;
}

std::string TokenStream::Flush(bool finish) {
  // A character has at most four bytes, so that more tokens which do not make one never will.
  constexpr size_t kMaxPending = 8;
  std::vector<int32_t> ids = told_;
  ids.insert(ids.end(), pending_.begin(), pending_.end());
  const std::string before = tokenizer_.Decode(told_), text = tokenizer_.Decode(ids);
  const bool incomplete = text.ends_with(kReplacementCharacter);
  if (incomplete && !finish && pending_.size() < kMaxPending) return "";
  // A run of byte tokens that was text until now, and turned out to be none.
  const bool broken = !text.starts_with(before);
  const std::string news = broken ? tokenizer_.Decode(pending_) : text.substr(before.size());
  // Tokens that say nothing alone are kept only at the beginning: what has been told must say
  // something, to make the next one not the first.
  if (before.empty())
    told_ = ids;
  else if (!news.empty() && !tokenizer_.Decode(pending_).empty())
    told_ = pending_;
  pending_.clear();
  return news;
}

}  // namespace mezzo
