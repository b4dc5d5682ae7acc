// Which reader a file is for.
#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/import/tokenizer/token_table.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"

namespace mezzo {

Tokenizer ReadTokenizer(const std::filesystem::path& path) {
  namespace fs = std::filesystem;
  if (fs::is_directory(path)) {
    for (const char* name :
         {"tokenizer.json", "tokenizer.model", "tokenizer.bin", "tokenizer.gguf"})
      if (fs::exists(path / name)) return ReadTokenizer(path / name);
    throw FileError(
        Cat(path.string(), ": has no tokenizer.json, tokenizer.model or tokenizer.bin"));
  }
  if (path.extension() == ".gguf") return MakeTokenizer(TokensOf(ReadGguf(path)), path.string());
  constexpr uint64_t kMaxBytes = 256 << 20;
  const std::string text = ReadFile(path, kMaxBytes);
  if (path.extension() == ".bin")
    return MakeTokenizer(ParseLlama2c(text, path.string()), path.string());
  if (path.extension() == ".model")
    return MakeTokenizer(ParseSentencePiece(text, path.string()), path.string());
  const fs::path config = path.parent_path() / "tokenizer_config.json";
  return ParseTokenizerJson({path.string(), text, config.string(),
                             fs::exists(config) ? ReadFile(config, kMaxBytes) : ""});
}

}  // namespace mezzo
