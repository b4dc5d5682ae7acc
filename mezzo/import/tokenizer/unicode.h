// UTF-8 and Unicode's normal forms, by utf8proc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mezzo {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

// The bytes at `text[at]` that make one code point, or, if `*valid` becomes false, that could have
// begun one but do not: at least one byte.
size_t CodePointBytes(std::string_view text, size_t at, bool* valid);

// The same text with every ill-formed sequence, as CodePointBytes delimits them, replaced by
// U+FFFD: what Python's errors="replace" and Rust's from_utf8_lossy do. Well-formed text is
// returned as is.
std::string ReplaceInvalidUtf8(std::string_view text);

// The next code point of well-formed text.
inline std::string_view NextCodePoint(std::string_view text, size_t at) {
  bool valid;
  return text.substr(at, CodePointBytes(text, at, &valid));
}

// The next extended grapheme cluster of well-formed text, by Unicode 17 less its rule for Indic
// conjuncts (GB9c).
std::string_view NextGrapheme(std::string_view text, size_t at);

// Of one code point, well-formed.
char32_t CodePoint(std::string_view utf8);
std::string ToUtf8(char32_t code);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Well-formed text in, well-formed text out. Code points that are newer than Unicode 9 stay as they
// are and where they are, which is what the `tokenizers` package does.
std::string Normalize(const std::string& text, NormalForm form);
// Capital letters that are newer than utf8proc (Unicode 15) stay capital.
std::string Lowercase(const std::string& text);

// In unicode_versions.cc, which differ between libraries:
bool IsInertWhenNormalizing(char32_t code);
// An older code point with the same breaks between graphemes around it; most are their own.
char32_t GraphemeStandIn(char32_t code);
// A copy of the text for regular expressions, as long in bytes, in which each code point that is
// newer than Unicode 14 is replaced by an older one of its category; empty if there is none.
std::string WithStandIns(std::string_view text);

}  // namespace mezzo
