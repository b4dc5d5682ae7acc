// A checkpoint's tokenizer as a table. tokenizer.json describes how text is cut into words, the
// table has names for the ways that GGUF's readers know: of these that one is right which gives the
// ids of the tokenizer itself for a text that tells them apart.
#include <nlohmann/json.hpp>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/import/tokenizer/json_value.h"
#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr uint64_t kMaxBytes = 256 << 20;
// Numbers by their length and behind white space, contractions in both cases, white space before
// and behind words and line ends, punctuation in runs, other scripts, an accent of its own.
constexpr char kProbe[] =
    " It's 7 of 42, 365 and 123456789 (3.14)!\n\n\nI'LL  don't\t\tWE'VE...  \r\n x=y+1; foo_bar9z "
    "   42\n  7\t\t1\n\n 19 caf\u00e9 cafe\u0301 \u4f60\u597d \u041f\u0440\u0438\u0432 "
    "\U0001f600 --- ??? 's ' \n ";

void Put(TokenTable& t, size_t id, const std::string& token, TokenType type) {
  if (t.tokens.size() <= id) t.tokens.resize(id + 1);
  t.tokens[id] = token;
  t.types.resize(t.tokens.size(), static_cast<int32_t>(TokenType::kUnused));
  t.types[id] = static_cast<int32_t>(type);
}

void PutAddedTokens(const Json& json, TokenTable& t) {
  for (const Json& token : json.value("added_tokens", Json::array()))
    Put(t, token.at("id").get<size_t>(), token.at("content").get<std::string>(),
        token.at("special").get<bool>() ? TokenType::kControl : TokenType::kUserDefined);
}

// Of a tokenizer.json that ReadTokenizer has accepted.
TokenTable ByteLevelTable(const Json& json) {
  TokenTable t;
  t.model = "gpt2";
  for (const auto& [token, id] : json.at("model").at("vocab").items())
    Put(t, id.get<size_t>(), token, TokenType::kNormal);
  for (const Json& merge : json.at("model").at("merges"))
    t.merges.push_back(merge.is_string() ? merge.get<std::string>()
                                         : Cat(merge.at(0).get_ref<const std::string&>(), " ",
                                               merge.at(1).get_ref<const std::string&>()));
  PutAddedTokens(json, t);
  return t;
}

// Ids that are no token, up to `size` of them, become tokens that no text has.
void Fill(TokenTable& t, size_t size, const std::string& where) {
  RequireFile(t.tokens.size() <= size, where, ": has ", t.tokens.size(),
              " tokens, the model's vocabulary ", size);
  if (t.types.empty()) t.types.assign(t.tokens.size(), static_cast<int32_t>(TokenType::kNormal));
  for (size_t id = 0; id < size; ++id)
    if (id >= t.tokens.size() || t.tokens[id].empty())
      Put(t, id, Cat("[PAD", id, "]"), TokenType::kUnused);
  if (!t.scores.empty()) t.scores.resize(size, -1000);  // lower than any
}

TokenTable TableOfJson(const fs::path& file, size_t size) {
  const Tokenizer tokenizer = ReadTokenizer(file);
  const Json json = ParseJson(ReadFile(file, kMaxBytes), file.string());
  const std::vector<int32_t> ids = tokenizer.Encode(kProbe, true),
                             ends = tokenizer.Encode("", true);
  const auto accepted = [&](TokenTable& t) {
    Fill(t, size, file.string());
    if (tokenizer.bos()) t.bos = tokenizer.bos();
    if (tokenizer.eos()) t.eos = tokenizer.eos();
    t.add_bos = !ends.empty() && ends.front() == t.bos;
    t.add_eos = ends.size() > size_t{*t.add_bos} && ends.back() == t.eos;
    t.chat_template = tokenizer.chat_template();
    return MakeTokenizer(t, file.string()).Encode(kProbe, true) == ids;
  };
  if (const fs::path pieces = file.parent_path() / "tokenizer.model"; fs::exists(pieces)) {
    TokenTable table = ReadTable(pieces);
    PutAddedTokens(json, table);
    if (accepted(table)) return table;
  }
  std::string known;
  for (const std::string_view kind : WordKinds()) known += Cat(known.empty() ? "" : ", ", kind);
  if (json.at("model").at("vocab").is_object()) {
    TokenTable table = ByteLevelTable(json);
    for (const std::string_view kind : WordKinds()) {
      table.pre = kind;
      if (accepted(table)) return table;
    }
  }
  throw FileError(Cat(file.string(), ": cuts text into words as none of ", known,
                      " does, the kinds that have a name in GGUF; a vocabulary of ",
                      "SentencePiece's needs its tokenizer.model beside it"));
}

}  // namespace

TokenTable TableOf(const fs::path& path, size_t size) {
  const fs::path file = TokenizerFile(path);
  if (file.extension() == ".json") return TableOfJson(file, size);
  TokenTable table = ReadTable(file);
  Fill(table, size, file.string());
  return table;
}

}  // namespace mezzo
