#include <array>
#include <span>

#include "mezzo/import/tokenizer/stages.h"

namespace mezzo {
namespace {

// Whether a part goes on in the next one; a part is a match or what lies between two.
bool Joined(SplitBehavior behavior, bool match, bool next_match) {
  switch (behavior) {
    case SplitBehavior::kMergedWithPrevious:
      return !match && next_match;
    case SplitBehavior::kMergedWithNext:
      return match && !next_match;
    case SplitBehavior::kContiguous:
      return match == next_match;
    case SplitBehavior::kRemoved:
    case SplitBehavior::kIsolated:
      break;
  }
  return false;
}

void EmitParts(const Regex& pattern, SplitBehavior behavior, bool invert, std::string_view text,
               const Word& word) {
  std::string_view held;  // may still grow
  bool held_match = false, any = false;
  pattern.ForEachSpan(text, [&](std::string_view part, bool match) {
    match = match != invert;
    if (behavior == SplitBehavior::kRemoved && match) return;
    if (any && Joined(behavior, held_match, match)) {
      held = {held.data(), held.size() + part.size()};
    } else {
      if (any) word(held);
      held = part;
    }
    held_match = match;
    any = true;
  });
  if (any) word(held);
}

void RunStages(std::span<const PreTokenizer> stages, std::string_view text, bool first,
               const Word& word) {
  if (text.empty()) return;
  if (stages.empty()) return word(text);
  stages[0](text, first,
            [&](std::string_view part) { RunStages(stages.subspan(1), part, false, word); });
}

}  // namespace

PreTokenizer SplitAt(Regex pattern, SplitBehavior behavior, bool invert) {
  return [pattern, behavior, invert](std::string_view text, bool, const Word& word) {
    EmitParts(pattern, behavior, invert, text, word);
  };
}

PreTokenizer SplitAtDigits(bool individual) {
  // The two ranges are digits of Unicode 17, which the package's language knows and its regular
  // expressions do not.
  return SplitAt(Regex(R"([\p{N}\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6}])", "Digits"),
                 individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

const std::string& ByteCharacter(unsigned char b) {
  static const auto kTable = [] {
    std::array<std::string, 256> table;
    unsigned next = 256;  // control characters, space and the like move up here
    for (unsigned i = 0; i < 256; ++i) {
      const bool visible = (i >= '!' && i <= '~') || (i >= 0xA1 && i != 0xAD);
      const unsigned code = visible ? i : next++;
      if (code >= 0x80) table[i] += static_cast<char>(0xC0 | code >> 6);
      table[i] += static_cast<char>(code >= 0x80 ? 0x80 | (code & 0x3F) : code);
    }
    return table;
  }();
  return kTable[b];
}

PreTokenizer SplitToBytes(bool add_prefix_space, bool use_regex) {
  const auto spell = [](std::string_view text, const Word& word) {
    std::string spelled;
    for (const char c : text) spelled += ByteCharacter(static_cast<unsigned char>(c));
    word(spelled);
  };
  const Regex pattern(kGpt2Words, "ByteLevel");
  return [=](std::string_view text, bool, const Word& word) {
    std::string prefixed;
    if (add_prefix_space && !text.starts_with(' ')) text = prefixed = ' ' + std::string(text);
    if (!use_regex) return spell(text, word);
    pattern.ForEachSpan(text, [&](std::string_view part, bool) { spell(part, word); });
  };
}

PreTokenizer SplitAtSpaces(std::string replacement, PrependScheme scheme, bool split) {
  const Regex space = Regex::Literal(" ", "Metaspace"),
              mark = Regex::Literal(replacement, "Metaspace");
  return [=](std::string_view text, bool first, const Word& word) {
    std::string marked = ReplaceAll(space, text, replacement);
    const bool wanted =
        scheme == PrependScheme::kAlways || (scheme == PrependScheme::kFirst && first);
    if (wanted && !marked.starts_with(replacement)) marked = replacement + marked;
    if (!split) return word(marked);
    EmitParts(mark, SplitBehavior::kMergedWithNext, false, marked, word);
  };
}

void PreTokenize(const std::vector<PreTokenizer>& stages, std::string_view text, bool first,
                 const Word& word) {
  RunStages(stages, text, first, word);
}

}  // namespace mezzo
