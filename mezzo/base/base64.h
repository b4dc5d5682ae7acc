// Bytes as text and back: RFC 4648, with padding.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/base/error.h"

namespace mezzo {

inline constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

template <class Byte>
std::string Base64(const std::vector<Byte>& bytes) {
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t three = 0;
    for (size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? static_cast<uint8_t>(bytes[i + k]) : 0);
    for (size_t k = 0; k < 4; ++k)
      text += i + k <= bytes.size() ? kBase64[three >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

// Throws FileError that begins with `where`.
template <class Byte>
std::vector<Byte> FromBase64(std::string_view text, const std::string& where) {
  RequireFile(text.size() % 4 == 0, where, ": ", text.size(), " characters are no base64");
  std::vector<Byte> bytes;
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t three = 0;
    size_t padding = 0;
    for (size_t k = 0; k < 4; ++k) {
      const char c = text[i + k];
      const bool pad = c == '=' && i + 4 == text.size() && k >= 2;
      const size_t digit = pad ? 0 : kBase64.find(c);
      RequireFile(digit != std::string_view::npos && (pad || padding == 0), where, ": character ",
                  i + k, " is no base64");
      padding += pad;
      three = three << 6 | static_cast<uint32_t>(digit);
    }
    for (size_t k = 0; k + padding < 3; ++k)
      bytes.push_back(static_cast<Byte>(three >> (16 - 8 * k)));
  }
  return bytes;
}

}  // namespace mezzo
