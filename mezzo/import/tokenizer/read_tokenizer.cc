// Which reader a file is for.
#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/import/tokenizer/token_table.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"

namespace mezzo {

namespace {
namespace fs = std::filesystem;
constexpr uint64_t kMaxBytes = 256 << 20;
}  // namespace

fs::path TokenizerFile(const fs::path& path) {
  if (!fs::is_directory(path)) return path;
  for (const char* name : {"tokenizer.json", "tokenizer.model", "tokenizer.bin", "tokenizer.gguf"})
    if (fs::exists(path / name)) return path / name;
  throw FileError(Cat(path.string(), ": has no tokenizer.json, tokenizer.model or tokenizer.bin"));
}

TokenTable ReadTable(const fs::path& file) {
  if (file.extension() == ".gguf") return TokensOf(ReadGguf(file));
  const std::string bytes = ReadFile(file, kMaxBytes);
  return file.extension() == ".bin" ? ParseLlama2c(bytes, file.string())
                                    : ParseSentencePiece(bytes, file.string());
}

Tokenizer ReadTokenizer(const fs::path& path) {
  const fs::path file = TokenizerFile(path);
  for (const char* kind : {".gguf", ".bin", ".model"})
    if (file.extension() == kind) return MakeTokenizer(ReadTable(file), file.string());
  const fs::path config = file.parent_path() / "tokenizer_config.json";
  return ParseTokenizerJson({file.string(), ReadFile(file, kMaxBytes), config.string(),
                             fs::exists(config) ? ReadFile(config, kMaxBytes) : ""});
}

}  // namespace mezzo
