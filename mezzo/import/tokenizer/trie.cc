#include "mezzo/import/tokenizer/trie.h"

namespace mezzo {

Trie::Trie(std::vector<Entry> entries) : nodes_(1) {
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.text < b.text; });
  struct Range {  // of the entries below a node, which share `depth` bytes
    size_t begin, end, depth;
  };
  std::vector<Range> ranges{{0, entries.size(), 0}};
  for (size_t n = 0; n < nodes_.size(); ++n) {
    auto [begin, end, depth] = ranges[n];
    if (begin < end && entries[begin].text.size() == depth) nodes_[n].id = entries[begin++].id;
    nodes_[n].children = static_cast<uint32_t>(nodes_.size());
    while (begin < end) {
      const size_t first = begin;
      const char byte = entries[first].text[depth];
      while (begin < end && entries[begin].text[depth] == byte) ++begin;
      nodes_.push_back({-1, 0, 0, static_cast<unsigned char>(byte)});
      ranges.push_back({first, begin, depth + 1});
    }
    nodes_[n].end = static_cast<uint32_t>(nodes_.size());
  }
}

}  // namespace mezzo
