// The table of replacements inside a SentencePiece model, its field precompiled_charsmap:
//   bytes of the trie (4) | trie: a double array, 4 bytes a unit | texts, each ends with a zero
//   byte
//
// A unit of the double array, from its lowest bit:
//   label: 8 | whether a key ends here: 1 | scale of the offset: 1 | offset: 21 | 0: 1
// The child of the node at `n` by the byte b lies at n ^ offset ^ b and has the label b; that by
// the zero byte holds, below its highest bit, where the key's text begins.
// All numbers are little-endian. https://github.com/s-yata/darts-clone
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mezzo {

class Charsmap {
 public:
  // Throws FileError that begins with `where` if the sizes disagree, the texts are no UTF-8, or a
  // key's text does not begin where a code point does or is over 256 bytes long.
  Charsmap(std::string_view bytes, const std::string& where);

  struct Match {
    size_t bytes;           // of the key
    std::string_view text;  // what stands for it
  };
  // The longest or the shortest key that `text` begins with.
  enum class Which { kLongest, kShortest };
  std::optional<Match> Find(std::string_view text, Which which) const;

 private:
  std::vector<uint32_t> units_;
  std::string texts_;
};

}  // namespace mezzo
