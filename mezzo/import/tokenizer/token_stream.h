// Text from ids as they come, for generation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mezzo/import/tokenizer/tokenizer.h"

namespace mezzo {

// What all Push and Finish return, run together, is what Decode makes of all the ids, as long as
// they spell UTF-8.
class TokenStream {
 public:
  explicit TokenStream(Tokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}

  // The text that this token completes; empty while a character is incomplete.
  std::string Push(int32_t id);
  // What is left, incomplete characters as U+FFFD. The stream may be used again then.
  std::string Finish();

 private:
  std::string Flush(bool finish);

  Tokenizer tokenizer_;
  // Decoded with the tokens before it, because a token's text may depend on whether it is the
  // first.
  std::vector<int32_t> told_, pending_;
};

}  // namespace mezzo
