#include "mezzo/import/tokenizer/stages.h"

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

}  // namespace mezzo
