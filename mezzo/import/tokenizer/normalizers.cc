#include "mezzo/import/tokenizer/stages.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {

std::string ReplaceAll(const Regex& pattern, std::string_view text, std::string_view content) {
  std::string out;
  pattern.ForEachSpan(text,
                      [&](std::string_view part, bool match) { out += match ? content : part; });
  return out;
}

Normalizer PrependText(std::string prefix) {
  return [=](const std::string& text) { return text.empty() ? text : prefix + text; };
}

Normalizer ReplaceMatches(Regex pattern, std::string content) {
  return [=](const std::string& text) { return ReplaceAll(pattern, text, content); };
}

Normalizer StripSpaceAtEnd() {
  const Regex space(R"(\s+)", "Strip");
  return [=](const std::string& text) {
    size_t end = 0;
    space.ForEachSpan(text, [&](std::string_view part, bool match) {
      if (!match) end = static_cast<size_t>(part.data() - text.data()) + part.size();
    });
    return text.substr(0, end);
  };
}

Normalizer ReplaceGraphemes(std::shared_ptr<const Charsmap> map) {
  return [=](const std::string& text) {
    constexpr size_t kWhole = 6;  // bytes from which on a grapheme is not replaced as a whole
    std::string out;
    const auto replace = [&](std::string_view part) {
      const auto match = map->Find(part, Charsmap::Which::kShortest);
      if (match) out += match->text;
      return match.has_value();
    };
    for (size_t i = 0, bytes = 0; i < text.size(); i += bytes) {
      const std::string_view grapheme = NextGrapheme(text, i);
      bytes = grapheme.size();
      if (bytes < kWhole && replace(grapheme)) continue;
      for (size_t k = 0, n = 0; k < bytes; k += n) {
        const std::string_view character = NextCodePoint(grapheme, k);
        n = character.size();
        if (!replace(character)) out += character;
      }
    }
    return out;
  };
}

std::string PieceNormalizer::operator()(const std::string& text) const {
  constexpr std::string_view kMark = kSpaceMark;
  const std::string_view all = text;
  std::string out(add_prefix ? kMark : "");
  bool after_space = remove_extra_spaces;
  for (size_t i = 0, bytes = 0; i < all.size(); i += bytes) {
    const std::string_view rest = all.substr(i);
    bytes = 0;
    kept.ForEachPrefix(rest, [&](size_t length, int32_t) { bytes = length; });
    std::string_view part = rest.substr(0, bytes);
    const auto match =
        map && bytes == 0 ? map->Find(rest, Charsmap::Which::kLongest) : std::nullopt;
    if (match) {
      bytes = match->bytes;
      part = match->text;
    } else if (bytes == 0) {
      bool valid;  // not so where a key ends inside a code point
      bytes = CodePointBytes(rest, 0, &valid);
      part = valid ? rest.substr(0, bytes) : kReplacementCharacter;
    }
    while (after_space && part.starts_with(' ')) part.remove_prefix(1);
    if (part.empty()) continue;
    for (const char& c : part) out += c == ' ' ? kMark : std::string_view(&c, 1);
    after_space = remove_extra_spaces && part.ends_with(' ');
  }
  while (remove_extra_spaces && out.ends_with(kMark)) out.resize(out.size() - kMark.size());
  return out;
}

}  // namespace mezzo
