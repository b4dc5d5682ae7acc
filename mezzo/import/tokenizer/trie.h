// A set of texts, to find those that another text begins with.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace mezzo {

class Trie {
 public:
  struct Entry {
    std::string_view text;
    int32_t id;  // not negative
  };

  Trie() : Trie(std::vector<Entry>()) {}
  // No text comes twice; an empty one is never found. Keeps nothing of the entries' texts.
  explicit Trie(std::vector<Entry> entries);

  // Calls found(bytes, id) for every entry that `text` begins with, the shortest first.
  template <class Found>
  void ForEachPrefix(std::string_view text, const Found& found) const {
    size_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = Child(nodes_[node], static_cast<unsigned char>(text[i]));
      if (node == 0) return;
      if (nodes_[node].id >= 0) found(i + 1, nodes_[node].id);
    }
  }

 private:
  struct Node {
    int32_t id = -1;  // of the entry that ends here
    uint32_t children = 0, end = 0;
    unsigned char byte = 0;  // by which its parent leads here
  };
  size_t Child(const Node& node, unsigned char byte) const {  // 0: there is none
    const auto end = nodes_.begin() + node.end;
    const auto child =
        std::lower_bound(nodes_.begin() + node.children, end, byte,
                         [](const Node& n, unsigned char wanted) { return n.byte < wanted; });
    return child != end && child->byte == byte ? static_cast<size_t>(child - nodes_.begin()) : 0;
  }

  std::vector<Node> nodes_;  // the root first; a node's children together, by byte
};

}  // namespace mezzo
