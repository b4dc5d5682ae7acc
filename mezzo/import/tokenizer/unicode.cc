#include "mezzo/import/tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

std::string Map(std::string_view text, NormalForm form) {
  constexpr int kCompat = UTF8PROC_STABLE | UTF8PROC_COMPAT;
  constexpr int kOptions[] = {UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                              UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, kCompat | UTF8PROC_COMPOSE,
                              kCompat | UTF8PROC_DECOMPOSE};
  utf8proc_uint8_t* result = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &result,
                                 static_cast<utf8proc_option_t>(kOptions[static_cast<int>(form)]));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  Require(size >= 0, "tokenizer: a text of ", text.size(),
          " bytes cannot be normalized: ", utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char*>(result), static_cast<size_t>(size));
}

}  // namespace

size_t CodePointBytes(std::string_view text, size_t at, bool* valid) {
  const auto byte = [&](size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  const unsigned lead = byte(0);
  *valid = lead < 0x80;
  if (*valid) return 1;
  const size_t length = lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : lead < 0xF5 ? 4 : 0;
  if (length == 0) return 1;
  // The second byte's range excludes overlong forms, surrogates, and what is past U+10FFFF.
  const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 1;
  size_t n = 2;
  while (n < length && (byte(n) & 0xC0) == 0x80) ++n;
  *valid = n == length;
  return n;
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  size_t n = 0;
  for (size_t i = 0; i < text.size(); i += n) {
    bool valid;
    n = CodePointBytes(text, i, &valid);
    out += valid ? text.substr(i, n) : kReplacementCharacter;
  }
  return out;
}

std::string_view NextGrapheme(std::string_view text, size_t at) {
  const auto code = [](std::string_view character) {
    return static_cast<utf8proc_int32_t>(GraphemeStandIn(CodePoint(character)));
  };
  std::string_view last = NextCodePoint(text, at);
  size_t end = at + last.size();
  for (utf8proc_int32_t state = 0; end < text.size(); end += last.size()) {
    const std::string_view next = NextCodePoint(text, end);
    if (utf8proc_grapheme_break_stateful(code(last), code(next), &state)) break;
    last = next;
  }
  return text.substr(at, end - at);
}

char32_t CodePoint(std::string_view utf8) {
  utf8proc_int32_t code = 0;
  utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(utf8.data()),
                   static_cast<utf8proc_ssize_t>(utf8.size()), &code);
  return static_cast<char32_t>(code);
}

std::string ToUtf8(char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  return std::string(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

std::string Normalize(const std::string& text, NormalForm form) {
  if (IsAscii(text)) return text;
  std::string out;
  size_t done = 0, n = 0;
  for (size_t i = 0; i < text.size(); i += n) {
    const std::string_view character = NextCodePoint(text, i);
    n = character.size();
    if (n == 1 || !IsInertWhenNormalizing(CodePoint(character))) continue;
    out += Map(std::string_view(text).substr(done, i - done), form);
    out += character;
    done = i + n;
  }
  return out + Map(std::string_view(text).substr(done), form);
}

std::string Lowercase(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const std::string_view character = NextCodePoint(text, i);
    i += character.size();
    const char32_t code = CodePoint(character);
    out += ToUtf8(static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
    if (code == 0x130) out += "\xCC\x87";  // the one letter whose small form is two: i and a dot
  }
  return out;
}

}  // namespace mezzo
