// Regular expressions as tokenizer.json holds them: Oniguruma's Ruby syntax over Unicode text, run
// by PCRE2. Where the two engines would understand a construct differently it is rewritten, or else
// refused: \s \S \w \W \h, script names, braces; character classes inside classes, options other
// than (?i:...), back references, named groups.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {

class Regex {
 public:
  // Errors begin with `where`, which names the file and the field.
  Regex(std::string_view pattern, const std::string& where);
  static Regex Literal(std::string_view text, const std::string& where);

  // Calls span(text, is_match) for each match and each stretch between matches, in order: together
  // they are `text`, which must be well-formed UTF-8. An empty match counts unless it touches the
  // match before it. Safe to call from several threads.
  template <class Span>
  void ForEachSpan(std::string_view text, Span&& span) const {
    const std::string stand_ins = literal_ ? "" : WithStandIns(text);
    const std::string_view subject = stand_ins.empty() ? text : stand_ins;
    size_t done = 0, begin = 0, end = 0;
    for (bool first = true; Next(subject, first, &begin, &end); first = false) {
      if (done != begin) span(text.substr(done, begin - done), false);
      span(text.substr(begin, end - begin), true);
      done = end;
    }
    if (done != text.size()) span(text.substr(done), false);
  }

  // Whether it matches anywhere.
  bool Finds(std::string_view text) const;

 private:
  Regex(const std::string& pattern, uint32_t options, const std::string& where);
  // The first match after *end, or at 0 if there was none before.
  bool Next(std::string_view text, bool first, size_t* begin, size_t* end) const;
  bool Match(std::string_view text, size_t from, size_t* begin, size_t* end) const;

  std::shared_ptr<const void> code_;  // pcre2_code
  bool literal_;
  std::string where_;
};

// The pattern in PCRE2's syntax. Throws FileError for what is not known to mean the same.
std::string OnigurumaToPcre2(std::string_view pattern, const std::string& where);

}  // namespace mezzo
