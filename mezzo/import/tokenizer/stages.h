// The stages around the model, as functions: normalizers change the text, pre-tokenizers cut it
// into words, decoders turn tokens back into text. Each does what the stage of that name does in
// the `tokenizers` package. All text is well-formed UTF-8, and all are safe to call from several
// threads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "mezzo/import/tokenizer/charsmap.h"
#include "mezzo/import/tokenizer/regex.h"
#include "mezzo/import/tokenizer/trie.h"

namespace mezzo {

using Normalizer = std::function<std::string(const std::string&)>;

std::string ReplaceAll(const Regex& pattern, std::string_view text, std::string_view content);

Normalizer PrependText(std::string prefix);  // not to an empty text
Normalizer ReplaceMatches(Regex pattern, std::string content);
Normalizer StripSpaceAtEnd();
// Each grapheme of fewer than six bytes, or else each code point, that begins with a key of the map
// becomes the text of the shortest such key: what is left of the grapheme is lost.
Normalizer ReplaceGraphemes(std::shared_ptr<const Charsmap> map);

// What SentencePiece itself does before its model.
struct PieceNormalizer {
  std::shared_ptr<const Charsmap> map;  // the longest keys are replaced; none: all stays
  Trie kept;                            // user-defined pieces, which the map leaves alone
  bool add_prefix = true;               // a space before the text
  bool remove_extra_spaces = false;     // at both ends, and all but one in between

  std::string operator()(const std::string& text) const;  // with U+2581 for spaces
};
inline constexpr char kSpaceMark[] = "\u2581";

// Calls word(text) for each part; `first` says that the text begins where the whole input does.
using Word = std::function<void(std::string_view)>;
using PreTokenizer = std::function<void(std::string_view text, bool first, const Word& word)>;

// What becomes of the matches (or, inverted, of what lies between them).
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class PrependScheme { kFirst, kNever, kAlways };

PreTokenizer SplitAt(Regex pattern, SplitBehavior behavior, bool invert = false);
PreTokenizer SplitAtDigits(bool individual);
// Every byte becomes one visible character, a space Ġ; before that, GPT-2's regular expression cuts
// the text if asked to.
PreTokenizer SplitToBytes(bool add_prefix_space, bool use_regex);
// Spaces become `replacement`, and words begin with it.
PreTokenizer SplitAtSpaces(std::string replacement, PrependScheme scheme, bool split);

// Applies the stages to each other's words; words are not empty.
void PreTokenize(const std::vector<PreTokenizer>& stages, std::string_view text, bool first,
                 const Word& word);

// From the texts of tokens to other texts; at the end they are joined.
using Decoder = std::function<void(std::vector<std::string>*)>;

Decoder DecodeBytes();       // the way back from SplitToBytes, ill-formed UTF-8 becoming U+FFFD
Decoder DecodeByteTokens();  // <0x41> becomes A; in runs that are not UTF-8 each one U+FFFD
Decoder DecodeSpaces(std::string replacement, PrependScheme scheme);
Decoder JoinTexts(std::string separator);
Decoder ReplaceInTexts(Regex pattern, std::string content);
// Takes up to `start` times the character away from the front of each text, `stop` times from its
// end.
Decoder StripTexts(std::string character, size_t start, size_t stop);
// The way back from PieceNormalizer as SentencePiece goes it: byte tokens become bytes, of which
// each that is no UTF-8 is U+FFFD; U+2581 is a space, and nothing where PieceNormalizer puts one.
Decoder DecodePieces(bool add_prefix, bool remove_extra_spaces);

// Byte b as a character of the byte-level alphabet, in UTF-8.
const std::string& ByteCharacter(unsigned char b);

inline constexpr char kGpt2Words[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace mezzo
