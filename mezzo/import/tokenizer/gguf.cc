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
  if (Find(file.metadata, "tokenizer.chat_template"))
    t.chat_template = file.Get<std::string>("tokenizer.chat_template");
  return t;
}

}  // namespace mezzo
