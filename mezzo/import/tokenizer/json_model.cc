// The model of tokenizer.json: byte pair encoding or unigram.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/bpe.h"
#include "mezzo/import/tokenizer/json_value.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"
#include "mezzo/import/tokenizer/unigram.h"

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

std::unique_ptr<TokenModel> BpeFromJson(JsonObject& object) {
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (const auto affix = object.Take(key); affix && !affix->Text().empty())
      affix->Refuse("nothing: affixes of subwords are not supported");
  if (const auto dropout = object.Take("dropout"); dropout && dropout->value != 0)
    dropout->Refuse("null or 0: random encodings are not supported");

  auto model = std::make_unique<Bpe>();
  const JsonValue vocabulary = object.Need("vocab");
  if (!vocabulary.value.is_object()) vocabulary.Refuse("an object of tokens and their ids");
  for (const auto& [token, id] : vocabulary.value.items()) {
    if (!id.is_number_integer()) JsonValue{id, Cat(vocabulary.where, ".", token)}.Refuse("an id");
    model->vocabulary.Add(token, id.get<int64_t>(), vocabulary.where);
  }
  ReadMerges(object.Need("merges"), model.get());
  if (const auto token = object.Take("unk_token")) {
    model->unknown = model->vocabulary.Find(token->Text());
    if (!model->unknown) token->Refuse("a token of the vocabulary");
  }
  model->fuse_unknown = object.Flag("fuse_unk", false);
  if (object.Flag("byte_fallback", false)) model->UseByteTokens();
  model->ignore_merges = object.Flag("ignore_merges", false);
  return model;
}

// The double that the package's reader, serde_json, makes of what is written with as few digits as
// tell it from others: it multiplies or divides the digits by a power of ten, which may be off by
// one unit in the last place. That decides between pieces whose sums are close.
double AsSerdeReads(double number) {
  char text[32];
  const auto end =
      std::to_chars(text, text + sizeof text, std::abs(number), std::chars_format::scientific).ptr;
  const std::string written(text, end);  // d.ddde-dd
  const size_t e = written.find('e');
  const std::string digits = written[0] + (e > 2 ? written.substr(2, e - 2) : "");
  const int exponent = std::atoi(&written[e + 1]) - static_cast<int>(digits.size() - 1);
  const auto whole = static_cast<double>(std::strtoull(digits.c_str(), nullptr, 10));
  const double power = std::strtod(Cat("1e", std::abs(exponent)).c_str(), nullptr);
  return std::copysign(exponent < 0 ? whole / power : whole * power, number);
}

// Every token is a piece, also the unknown one and those of bytes.
std::unique_ptr<TokenModel> UnigramFromJson(JsonObject& object) {
  const JsonValue list = object.Need("vocab");
  if (!list.value.is_array() || list.value.empty()) list.Refuse("a list of tokens and scores");
  Vocabulary vocabulary;
  std::vector<Unigram::Piece> pieces;
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t i = 0; i < list.value.size(); ++i) {
    const nlohmann::json& piece = list.value[i];
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number())
      JsonValue{piece, Cat(list.where, "[", i, "]")}.Refuse("a list of a token and its score");
    vocabulary.Add(piece[0].get<std::string>(), static_cast<int64_t>(i), list.where);
    pieces.push_back({static_cast<int32_t>(i), AsSerdeReads(piece[1].get<double>())});
    lowest = std::min(lowest, pieces.back().score);
  }
  const auto unknown = static_cast<int32_t>(object.Need("unk_id").Whole(0, vocabulary.size() - 1));
  auto model = std::make_unique<Unigram>(std::move(vocabulary), pieces, unknown, lowest - 10,
                                         Unigram::Sums::kDouble);
  if (object.Flag("byte_fallback", false)) model->UseByteTokens();
  return model;
}

}  // namespace

std::unique_ptr<TokenModel> ModelFromJson(const JsonValue& value) {
  JsonObject object(value);
  const auto type = object.Take("type");
  const bool unigram = type && type->Text() == "Unigram";
  if (type && !unigram && type->Text() != "BPE") type->Refuse("BPE or Unigram");
  auto model = unigram ? UnigramFromJson(object) : BpeFromJson(object);
  object.End();
  return model;
}

}  // namespace mezzo
