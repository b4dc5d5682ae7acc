// The model of tokenizer.json: byte pair encoding.
#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/json_value.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"

namespace mezzo {
namespace {

// "left right" or ["left", "right"]
std::optional<std::pair<std::string_view, std::string_view>> Halves(const nlohmann::json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return std::pair<std::string_view, std::string_view>(merge[0].get_ref<const std::string&>(),
                                                         merge[1].get_ref<const std::string&>());
  if (!merge.is_string()) return std::nullopt;
  const std::string_view text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) return std::nullopt;
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

// There are hundreds of thousands: their places are named only in a message.
void ReadMerges(const JsonValue& merges, Bpe* model) {
  if (!merges.value.is_array()) merges.Refuse("a list");
  std::string merged;
  for (size_t i = 0; i < merges.value.size(); ++i) {
    const auto where = [&] { return Cat(merges.where, "[", i, "]"); };
    const auto halves = Halves(merges.value[i]);
    if (!halves)
      JsonValue{merges.value[i], where()}.Refuse(
          "two tokens with a space between them, or a list of two tokens");
    const auto id = [&](std::string_view token) {
      const auto found = model->vocabulary.Find(token);
      if (!found) throw FileError(Cat(where(), ": '", token, "' is no token of the vocabulary"));
      return *found;
    };
    const auto [left, right] = *halves;
    const int32_t l = id(left), r = id(right);
    merged = left;
    merged += right;
    model->AddMerge(l, r, static_cast<int32_t>(i), id(merged));
  }
}

}  // namespace

Bpe BpeFromJson(const JsonValue& value) {
  JsonObject object(value);
  if (const auto type = object.Take("type"); type && type->Text() != "BPE") type->Refuse("BPE");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto affix = object.Take(key); affix && !affix->Text().empty())
      affix->Refuse("nothing: affixes of subwords are not supported");
  if (const auto dropout = object.Take("dropout"); dropout && dropout->value != 0)
    dropout->Refuse("null or 0: random encodings are not supported");

  Bpe model;
  const JsonValue vocabulary = object.Need("vocab");
  if (!vocabulary.value.is_object()) vocabulary.Refuse("an object of tokens and their ids");
  for (const auto& [token, id] : vocabulary.value.items()) {
    if (!id.is_number_integer()) JsonValue{id, Cat(vocabulary.where, ".", token)}.Refuse("an id");
    model.vocabulary.Add(token, id.get<int64_t>(), vocabulary.where);
  }
  ReadMerges(object.Need("merges"), &model);
  if (const auto token = object.Take("unk_token")) {
    model.unknown = model.vocabulary.Find(token->Text());
    if (!model.unknown) token->Refuse("a token of the vocabulary");
  }
  model.fuse_unknown = object.Flag("fuse_unk", false);
  if (object.Flag("byte_fallback", false)) model.UseByteTokens();
  model.ignore_merges = object.Flag("ignore_merges", false);
  object.End();
  return model;
}

}  // namespace mezzo
