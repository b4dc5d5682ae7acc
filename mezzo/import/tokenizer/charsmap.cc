#include "mezzo/import/tokenizer/charsmap.h"

#include <cstring>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

constexpr size_t kMaxText = 256;                   // bytes; Unicode's own longest has 33
constexpr uint32_t kValueBit = uint32_t{1} << 31;  // the unit holds a value

uint32_t Label(uint32_t unit) { return unit & (kValueBit | 0xFF); }
bool EndsKey(uint32_t unit) { return unit >> 8 & 1; }
size_t Offset(uint32_t unit) { return size_t{unit >> 10} << ((unit >> 9 & 1) * 8); }

uint32_t Little(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

Charsmap::Charsmap(std::string_view bytes, const std::string& where) {
  const size_t size = bytes.size() < 4 ? 0 : Little(bytes);
  RequireFile(size > 0 && size % 4 == 0 && size < bytes.size() - 3, where,
              ": precompiled_charsmap has ", bytes.size(), " bytes, its trie ", size,
              " of them, a multiple of 4");
  for (size_t i = 4; i < 4 + size; i += 4) units_.push_back(Little(bytes.substr(i)));
  texts_ = bytes.substr(4 + size);
  RequireFile(ReplaceInvalidUtf8(texts_) == texts_, where,
              ": the texts of precompiled_charsmap are no UTF-8");
  for (size_t n = 0; n < units_.size(); ++n) {
    if (units_[n] & kValueBit || !EndsKey(units_[n])) continue;
    const size_t at = n ^ Offset(units_[n]);
    const size_t text = at < units_.size() ? units_[at] & ~kValueBit : texts_.size() + 1;
    RequireFile(text <= texts_.size() && (texts_.c_str()[text] & 0xC0) != 0x80, where, ": unit ", n,
                " of precompiled_charsmap leads to no text");
    RequireFile(strnlen(texts_.c_str() + text, kMaxText + 1) <= kMaxText, where, ": unit ", n,
                " of precompiled_charsmap leads to a text of over ", kMaxText, " bytes");
  }
}

std::optional<Charsmap::Match> Charsmap::Find(std::string_view text, Which which) const {
  std::optional<Match> match;
  size_t at = Offset(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    at ^= byte;
    if (byte == 0 || at >= units_.size() || Label(units_[at]) != byte) break;
    const uint32_t unit = units_[at];
    at ^= Offset(unit);
    if (!EndsKey(unit)) continue;
    match = {i + 1, texts_.c_str() + (units_[at] & ~kValueBit)};
    if (which == Which::kShortest) break;
  }
  return match;
}

}  // namespace mezzo
