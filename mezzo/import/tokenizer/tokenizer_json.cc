#include "mezzo/import/tokenizer/tokenizer_json.h"

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/json_value.h"

namespace mezzo {
namespace {

AddedToken AddedTokenFromJson(const JsonValue& value) {
  JsonObject object(value);
  AddedToken token;
  token.content = object.Need("content").Text();
  token.id = static_cast<int32_t>(object.Need("id").Whole(0, Vocabulary::kMaxSize - 1));
  token.special = object.Need("special").Flag();
  token.normalized = object.Need("normalized").Flag();
  token.single_word = object.Need("single_word").Flag();
  token.lstrip = object.Need("lstrip").Flag();
  token.rstrip = object.Need("rstrip").Flag();
  object.End();
  return token;
}

// What stands around the one sequence of a template.
void ReadTemplate(JsonObject& object, TokenizerParts* parts) {
  object.Take("pair");  // pairs of texts are not encoded
  JsonObject known(object.Need("special_tokens"));
  const JsonValue single = object.Need("single");
  bool seen = false;
  for (const JsonValue& item : single.Items()) {
    JsonObject piece(item);
    const auto token = piece.Take("SpecialToken"), sequence = piece.Take("Sequence");
    piece.End();
    if (token && !sequence) {
      const std::string& name = JsonObject(*token).Need("id").Text();
      for (const JsonValue& id : JsonObject(known.Need(name)).Need("ids").Items())
        (seen ? parts->suffix : parts->prefix)
            .push_back(static_cast<int32_t>(id.Whole(0, parts->vocabulary_size() - 1)));
    } else if (sequence && !token && JsonObject(*sequence).Need("id").Text() == "A" && !seen) {
      seen = true;
    } else {
      item.Refuse("a SpecialToken, or once the Sequence A");
    }
  }
  if (!seen) single.Refuse("the Sequence A");
}

void ReadPostProcessor(const JsonValue& value, TokenizerParts* parts) {
  JsonObject object(value);
  const JsonValue type = object.Need("type");
  if (type.Text() == "TemplateProcessing") {
    RequireFile(parts->prefix.empty() && parts->suffix.empty(), value.where,
                ": only one TemplateProcessing is supported");
    ReadTemplate(object, parts);
  } else if (type.Text() == "ByteLevel") {  // it moves offsets, which are not kept
    for (const char* unused : {"add_prefix_space", "trim_offsets", "use_regex"})
      object.Take(unused);
  } else if (type.Text() == "Sequence" && !value.where.ends_with(']')) {
    for (const JsonValue& item : object.Need("processors").Items()) ReadPostProcessor(item, parts);
  } else {
    type.Refuse("TemplateProcessing, ByteLevel, or a Sequence of them");
  }
  object.End();
}

// tokenizer_config.json also holds much else, which is not for here.
void ReadConfig(const TokenizerJson& files, TokenizerParts* parts) {
  const nlohmann::json config = ParseJson(files.config, files.config_name);
  JsonObject object({config, files.config_name + ": "});
  const auto special = [&](const char* key) -> std::optional<int32_t> {
    const auto token = object.Take(key);
    if (!token) return std::nullopt;
    const std::string& text =
        token->value.is_object() ? JsonObject(*token).Need("content").Text() : token->Text();
    const auto id = parts->Find(text);
    RequireFile(id.has_value(), token->where, " is '", text, "', which is no token");
    return id;
  };
  parts->bos = special("bos_token");
  parts->eos = special("eos_token");
  if (const auto chat = object.Take("chat_template")) parts->chat_template = chat->Text();
}

}  // namespace

Tokenizer ParseTokenizerJson(const TokenizerJson& files) {
  const nlohmann::json json = ParseJson(files.text, files.name);
  JsonObject object({json, files.name + ": "});
  if (const auto version = object.Take("version"); version && version->Text() != "1.0")
    version->Refuse("1.0");
  for (const char* key : {"truncation", "padding"})
    if (const auto setting = object.Take(key)) setting->Refuse("null: it is not supported");

  TokenizerParts parts;
  parts.model = ModelFromJson(object.Need("model"));
  if (const auto v = object.Take("normalizer")) parts.normalizers = NormalizersFromJson(*v);
  if (const auto v = object.Take("pre_tokenizer")) parts.pre_tokenizers = PreTokenizersFromJson(*v);
  if (const auto v = object.Take("decoder"))
    parts.decoders = DecodersFromJson(*v);
  else
    parts.decoders = {JoinTexts(" ")};
  if (const auto tokens = object.Take("added_tokens"))
    for (const JsonValue& token : tokens->Items())
      parts.AddToken(AddedTokenFromJson(token), token.where);
  RequireFile(parts.vocabulary_size() > 0, files.name, ": model.vocab has no tokens");
  if (const auto v = object.Take("post_processor")) ReadPostProcessor(*v, &parts);
  object.End();
  if (!files.config.empty()) ReadConfig(files, &parts);
  return Tokenizer(std::move(parts));
}

}  // namespace mezzo
