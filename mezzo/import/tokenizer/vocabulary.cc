#include "mezzo/import/tokenizer/vocabulary.h"

#include "mezzo/base/error.h"

namespace mezzo {

void Vocabulary::Add(std::string text, int64_t id, const std::string& where) {
  RequireFile(0 <= id && id < kMaxSize, where, ": the token '", text, "' has the id ", id,
              ", needs one from 0 to ", kMaxSize - 1);
  const auto place = static_cast<size_t>(id);
  RequireFile(Text(id) == nullptr, where, ": the tokens '", Text(id) ? *Text(id) : "", "' and '",
              text, "' both have the id ", id);
  const auto [it, added] = ids_.emplace(std::move(text), static_cast<int32_t>(id));
  RequireFile(added, where, ": the token '", it->first, "' has the ids ", it->second, " and ", id);
  if (texts_.size() <= place) texts_.resize(place + 1);
  texts_[place] = &it->first;
}

std::optional<int32_t> Vocabulary::Find(std::string_view text) const {
  const auto it = ids_.find(text);
  if (it == ids_.end()) return std::nullopt;
  return it->second;
}

const std::string* Vocabulary::Text(int64_t id) const {
  return 0 <= id && id < size() ? texts_[static_cast<size_t>(id)] : nullptr;
}

}  // namespace mezzo
