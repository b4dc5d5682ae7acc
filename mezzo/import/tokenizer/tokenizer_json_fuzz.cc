#include <algorithm>

#include "mezzo/base/fuzz.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"

// A tokenizer.json, a zero byte, a text. What is accepted encodes the text and decodes its ids.
MEZZO_FUZZ_TARGET(tokenizer_json, bytes) {
  const std::string all(bytes.begin(), bytes.end());
  const size_t end = std::min(all.find('\0'), all.size());
  const mezzo::Tokenizer t = mezzo::ParseTokenizerJson({"t.json", all.substr(0, end), "", ""});
  t.Decode(t.Encode(all.substr(end), true));
}
