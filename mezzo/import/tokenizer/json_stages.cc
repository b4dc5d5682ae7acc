// Normalizers, pre-tokenizers and decoders of tokenizer.json.
#include <map>

#include "mezzo/base/base64.h"
#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/json_value.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

constexpr int kMaxNesting = 16;

template <class E>
E Choice(const JsonValue& value, const std::map<std::string, E>& choices) {
  const auto it = choices.find(value.Text());
  if (it != choices.end()) return it->second;
  std::string names;
  for (const auto& [name, unused] : choices) names += (names.empty() ? "" : ", ") + name;
  value.Refuse(names);
}

// {"String": "text"} or {"Regex": "pattern"}
Regex Pattern(const JsonValue& value) {
  JsonObject object(value);
  const auto text = object.Take("String"), regex = object.Take("Regex");
  object.End();
  if (regex) return Regex(regex->Text(), regex->where);
  if (!text || text->Text().empty()) value.Refuse("a String, not empty, or a Regex");
  return Regex::Literal(text->Text(), text->where);
}

std::string Character(const JsonValue& value) {
  const std::string& text = value.Text();
  if (text.empty() || NextCodePoint(text, 0).size() != text.size()) value.Refuse("one character");
  return text;
}

// Calls stage(type, object) for every stage that is no Sequence, whose stages are in `list`.
template <class Stage>
void ForEachStage(const JsonValue& value, const char* list, const Stage& stage, int depth = 0) {
  RequireFile(depth < kMaxNesting, value.where, ": sequences are nested over ", kMaxNesting,
              " deep");
  JsonObject object(value);
  const JsonValue type = object.Need("type");
  if (type.Text() == "Sequence") {
    for (const JsonValue& item : object.Need(list).Items())
      ForEachStage(item, list, stage, depth + 1);
  } else if (!stage(type.Text(), object)) {
    RequireFile(false, type.where, ": '", type.Text(), "' is not supported");
  }
  object.End();
}

std::shared_ptr<const Charsmap> MapFromJson(const JsonValue& value) {
  const std::vector<char> bytes = FromBase64<char>(value.Text(), value.where);
  return std::make_shared<Charsmap>(std::string_view(bytes.data(), bytes.size()), value.where);
}

PrependScheme Scheme(JsonObject& object) {
  const auto scheme = object.Take("prepend_scheme");
  const bool add = object.Flag("add_prefix_space", true);
  const PrependScheme result =
      !scheme ? PrependScheme::kAlways
              : Choice<PrependScheme>(*scheme, {{"first", PrependScheme::kFirst},
                                                {"never", PrependScheme::kNever},
                                                {"always", PrependScheme::kAlways}});
  RequireFile(add || !scheme || result == PrependScheme::kNever, object.where(),
              ": add_prefix_space and prepend_scheme contradict each other");
  return add ? result : PrependScheme::kNever;
}

}  // namespace

std::vector<Normalizer> NormalizersFromJson(const JsonValue& value) {
  const std::map<std::string, NormalForm> forms{{"NFC", NormalForm::kNfc},
                                                {"NFD", NormalForm::kNfd},
                                                {"NFKC", NormalForm::kNfkc},
                                                {"NFKD", NormalForm::kNfkd}};
  std::vector<Normalizer> stages;
  ForEachStage(value, "normalizers", [&](const std::string& type, JsonObject& object) {
    if (const auto form = forms.find(type); form != forms.end())
      stages.push_back([f = form->second](const std::string& text) { return Normalize(text, f); });
    else if (type == "Lowercase")
      stages.push_back(Lowercase);
    else if (type == "Prepend")
      stages.push_back(PrependText(object.Need("prepend").Text()));
    else if (type == "Strip") {
      if (const auto left = object.Need("strip_left"); left.Flag()) left.Refuse("false");
      if (object.Need("strip_right").Flag()) stages.push_back(StripSpaceAtEnd());
    } else if (type == "Precompiled")
      stages.push_back(ReplaceGraphemes(MapFromJson(object.Need("precompiled_charsmap"))));
    else if (type == "Replace")
      stages.push_back(
          ReplaceMatches(Pattern(object.Need("pattern")), object.Need("content").Text()));
    else
      return false;
    return true;
  });
  return stages;
}

std::vector<PreTokenizer> PreTokenizersFromJson(const JsonValue& value) {
  const std::map<std::string, SplitBehavior> behaviors{
      {"Removed", SplitBehavior::kRemoved},
      {"Isolated", SplitBehavior::kIsolated},
      {"MergedWithPrevious", SplitBehavior::kMergedWithPrevious},
      {"MergedWithNext", SplitBehavior::kMergedWithNext},
      {"Contiguous", SplitBehavior::kContiguous}};
  std::vector<PreTokenizer> stages;
  ForEachStage(value, "pretokenizers", [&](const std::string& type, JsonObject& object) {
    if (type == "ByteLevel") {
      object.Take("trim_offsets");  // offsets are not kept
      const bool prefix = object.Need("add_prefix_space").Flag();
      stages.push_back(SplitToBytes(prefix, object.Flag("use_regex", true)));
    } else if (type == "Split") {
      stages.push_back(SplitAt(Pattern(object.Need("pattern")),
                               Choice(object.Need("behavior"), behaviors),
                               object.Need("invert").Flag()));
    } else if (type == "WhitespaceSplit") {
      stages.push_back(SplitAt(Regex(R"(\s)", object.where()), SplitBehavior::kRemoved));
    } else if (type == "Digits") {
      stages.push_back(SplitAtDigits(object.Need("individual_digits").Flag()));
    } else if (type == "Metaspace") {
      object.Take("str_rep");  // old files repeat the replacement here
      const PrependScheme scheme = Scheme(object);
      RequireFile(scheme != PrependScheme::kFirst || stages.empty(), object.where(),
                  ": prepend_scheme 'first' is supported for the first stage only");
      stages.push_back(
          SplitAtSpaces(Character(object.Need("replacement")), scheme, object.Flag("split", true)));
    } else {
      return false;
    }
    return true;
  });
  return stages;
}

std::vector<Decoder> DecodersFromJson(const JsonValue& value) {
  constexpr int64_t kMaxStrip = 1 << 20;
  std::vector<Decoder> stages;
  ForEachStage(value, "decoders", [&](const std::string& type, JsonObject& object) {
    if (type == "ByteLevel") {
      for (const char* unused : {"add_prefix_space", "trim_offsets", "use_regex"})
        object.Take(unused);  // they mean nothing to a decoder
      stages.push_back(DecodeBytes());
    } else if (type == "ByteFallback") {
      stages.push_back(DecodeByteTokens());
    } else if (type == "Fuse") {
      stages.push_back(JoinTexts(""));
    } else if (type == "Metaspace") {
      for (const char* unused : {"str_rep", "split"}) object.Take(unused);
      stages.push_back(DecodeSpaces(Character(object.Need("replacement")), Scheme(object)));
    } else if (type == "Replace") {
      stages.push_back(
          ReplaceInTexts(Pattern(object.Need("pattern")), object.Need("content").Text()));
    } else if (type == "Strip") {
      const auto times = [&](const char* key) {
        return static_cast<size_t>(object.Need(key).Whole(0, kMaxStrip));
      };
      stages.push_back(
          StripTexts(Character(object.Need("content")), times("start"), times("stop")));
    } else {
      return false;
    }
    return true;
  });
  return stages;
}

}  // namespace mezzo
