// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md#ggml
#include "mezzo/checkpoint/gguf.h"

#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {
namespace {

constexpr std::string_view kPrefix = "tokenizer.ggml.";

class Fields {
 public:
  explicit Fields(const Gguf& file) : file_(file) {}

  // The value of a key, or the fallback if the file has none.
  template <class T>
  T Or(const char* key, T fallback) const {
    return Has(key) ? file_.Get<T>(Name(key)) : fallback;
  }
  std::optional<bool> Flag(const char* key) const {
    return Has(key) ? std::optional(file_.Get<bool>(Name(key))) : std::nullopt;
  }
  // An array of bytes, with or without signs.
  std::string Bytes(const char* key) const {
    if (!Has(key)) return "";
    if (const auto* bytes = std::get_if<std::vector<int8_t>>(Find(file_.metadata, Name(key))))
      return std::string(bytes->begin(), bytes->end());
    const auto& bytes = file_.Get<std::vector<uint8_t>>(Name(key));
    return std::string(bytes.begin(), bytes.end());
  }
  std::optional<int32_t> Id(const char* key) const {
    if (!Has(key)) return std::nullopt;
    const int64_t id = file_.Int(Name(key));
    if (id == UINT32_MAX) return std::nullopt;  // llama.cpp's "none"
    RequireFile(id >= 0 && id <= INT32_MAX, file_.path, ": ", Name(key), " is ", id);
    return static_cast<int32_t>(id);
  }

 private:
  static std::string Name(const char* key) { return std::string(kPrefix) + key; }
  bool Has(const char* key) const { return Find(file_.metadata, Name(key)) != nullptr; }
  const Gguf& file_;
};

}  // namespace

TokenTable TokensOf(const Gguf& file) {
  const Fields f(file);
  TokenTable t;
  t.model = file.Get<std::string>("tokenizer.ggml.model");
  t.pre = f.Or<std::string>("pre", "");
  t.tokens = file.Get<std::vector<std::string>>("tokenizer.ggml.tokens");
  t.scores = f.Or<std::vector<float>>("scores", {});
  t.types = f.Or<std::vector<int32_t>>("token_type", {});
  t.merges = f.Or<std::vector<std::string>>("merges", {});
  t.bos = f.Id("bos_token_id");
  t.eos = f.Id("eos_token_id");
  t.unknown = f.Id("unknown_token_id");
  t.add_bos = f.Flag("add_bos_token");
  t.add_eos = f.Flag("add_eos_token");
  t.add_space_prefix = f.Flag("add_space_prefix");
  t.remove_extra_whitespaces = f.Flag("remove_extra_whitespaces");
  t.precompiled_charsmap = f.Bytes("precompiled_charsmap");
  if (Find(file.metadata, "tokenizer.chat_template"))
    t.chat_template = file.Get<std::string>("tokenizer.chat_template");
  return t;
}

GgufMetadata TokenizerMetadata(const Gguf& file) {
  GgufMetadata kept;
  for (const auto& [key, value] : file.metadata)
    if (key.starts_with("tokenizer.")) kept.push_back({key, value});
  return kept;
}

GgufMetadata TokenizerMetadata(const std::filesystem::path& path, size_t size) {
  if (const auto file = TokenizerFile(path); file.extension() == ".gguf")
    return TokenizerMetadata(ReadGguf(file));
  const TokenTable t = TableOf(path, size);
  GgufMetadata m;
  const auto put = [&](const char* key, GgufValue value) {
    m.push_back({std::string(kPrefix) + key, std::move(value)});
  };
  const auto put_if = [&](const char* key, const auto& optional) {
    if (optional) put(key, *optional);
  };
  const auto id = [](const std::optional<int32_t>& i) {
    return i ? std::optional(static_cast<uint32_t>(*i)) : std::nullopt;
  };
  put("model", t.model);
  put("pre", t.pre.empty() ? "default" : t.pre);
  put("tokens", t.tokens);
  if (!t.scores.empty()) put("scores", t.scores);
  put("token_type", t.types);
  if (!t.merges.empty()) put("merges", t.merges);
  put_if("bos_token_id", id(t.bos));
  put_if("eos_token_id", id(t.eos));
  put_if("unknown_token_id", id(t.unknown));
  put_if("add_bos_token", t.add_bos);
  put_if("add_eos_token", t.add_eos);
  put_if("add_space_prefix", t.add_space_prefix);
  if (t.model == "t5") put_if("remove_extra_whitespaces", t.remove_extra_whitespaces);
  if (const std::string& map = t.precompiled_charsmap; !map.empty())
    put("precompiled_charsmap", std::vector<uint8_t>(map.begin(), map.end()));
  if (!t.chat_template.empty()) m.push_back({"tokenizer.chat_template", t.chat_template});
  return m;
}

}  // namespace mezzo
