// From Oniguruma's Ruby syntax to PCRE2's.
#include <cctype>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/regex.h"

namespace mezzo {
namespace {

// PCRE2's \s also takes U+180E, and its \w takes other numbers but no marks; here it is what
// Unicode calls Alphabetic (letters, also those in circles and squares, and number letters), marks,
// digits and connectors.
constexpr std::string_view kSpace =
    R"(\x{9}-\x{d} \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNoSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}!-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027})"
    R"(\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr std::string_view kWord =
    R"(\p{L}\p{Nl}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})"
    R"(\p{M}\p{Nd}\p{Pc})";

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where)
      : pattern_(pattern), where_(where) {}

  std::string Run() {
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\')
        Escape();
      else if (in_class_)
        InClass(c);
      else if (c == '[')
        OpenClass();
      else if (c == '(')
        OpenGroup();
      else if (c == '{')
        Repeat();
      else
        Copy(1);
    }
    return std::move(out_);
  }

 private:
  bool Sees(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  void Copy(size_t n) {
    out_ += pattern_.substr(at_, n);
    at_ += n;
  }
  void Put(std::string_view text, size_t skip) {
    out_ += text;
    at_ += skip;
  }
  void Class(std::string_view members, bool negated) {
    Put(in_class_ ? std::string(members) : Cat(negated ? "[^" : "[", members, "]"), 2);
  }
  [[noreturn]] void Refuse(size_t n) const {
    throw FileError(Cat(where_, ": the regular expression '", pattern_.substr(0, 200), "' uses '",
                        pattern_.substr(at_, n), "' (byte ", at_, "), which is not supported"));
  }

  void Escape() {
    const char c = at_ + 1 < pattern_.size() ? pattern_[at_ + 1] : '\0';
    if (c == 's') return Class(kSpace, false);
    if (c == 'S') return in_class_ ? Class(kNoSpace, false) : Class(kSpace, true);
    if (c == 'w') return Class(kWord, false);
    if (c == 'W' && !in_class_) return Class(kWord, true);
    if (c == 'p' || c == 'P') return Property();
    if (c == 'v') return Put("\\x{b}", 2);
    const bool same = std::string_view("dDnrtfaexAzZ").find(c) != std::string_view::npos;
    if (c == '\0' || (std::isalnum(static_cast<unsigned char>(c)) && !same)) Refuse(2);
    Copy(2);
  }
  // PCRE2 takes a script's name for its extensions too.
  void Property() {
    const size_t close = pattern_.find('}', at_);
    if (!pattern_.substr(at_ + 2).starts_with('{') || close == pattern_.npos) Refuse(3);
    const std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    const bool category = name.size() <= (name.starts_with('^') ? 3 : 2);
    if (category) return Copy(close + 1 - at_);
    Put(Cat(pattern_.substr(at_, 3), "sc:", name, "}"), close + 1 - at_);
  }
  void OpenClass() {
    in_class_ = true;
    Copy(Sees("[^") ? 2 : 1);
    if (Sees("]")) Refuse(1);
  }
  void InClass(char c) {
    if (c == '[' || Sees("&&")) Refuse(2);
    if (c == ']') in_class_ = false;
    Copy(1);
  }
  void OpenGroup() {
    if (Sees("(*")) Refuse(2);
    if (!Sees("(?")) return Copy(1);
    for (const std::string_view known : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"})
      if (Sees(known)) return Copy(known.size());
    Refuse(4);
  }
  // {n}, {n,}, {n,m}. Ruby reads {n}? and {n,m}+ in its own way, and {,m} too.
  void Repeat() {
    size_t i = at_ + 1;
    const auto digits = [&] {
      const size_t first = i;
      while (i < pattern_.size() && std::isdigit(static_cast<unsigned char>(pattern_[i]))) ++i;
      return i > first;
    };
    if (!digits()) Refuse(4);
    const bool range = pattern_.substr(i).starts_with(',');
    if (range) ++i, digits();
    if (!pattern_.substr(i).starts_with('}')) Refuse(i + 1 - at_);
    const std::string_view rest = pattern_.substr(i + 1);
    if (rest.starts_with('+') || (rest.starts_with('?') && !range)) Refuse(i + 2 - at_);
    Copy(i + 1 - at_);
  }

  std::string_view pattern_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string OnigurumaToPcre2(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).Run();
}

}  // namespace mezzo
