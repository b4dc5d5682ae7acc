#include "mezzo/base/fuzz.h"
#include "mezzo/import/tokenizer/token_table.h"

// A tokenizer.bin if it begins with a zero byte, which is left out, otherwise a tokenizer.model.
MEZZO_FUZZ_TARGET(token_table, bytes) {
  const std::string text(bytes.begin(), bytes.end());
  const bool model = text.empty() || text[0] != '\0';
  const mezzo::Tokenizer t = mezzo::MakeTokenizer(
      model ? mezzo::ParseSentencePiece(text, "t") : mezzo::ParseLlama2c(text.substr(1), "t"), "t");
  t.Decode(t.Encode(text.substr(text.size() / 2), true));
}
