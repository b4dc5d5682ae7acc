// Unigram models and what SentencePiece does around them.
#include "mezzo/import/tokenizer/unigram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <random>

#include "mezzo/base/base64.h"
#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/stages.h"
#include "mezzo/import/tokenizer/token_table.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"
#include "mezzo/import/tokenizer/unicode.h"

namespace mezzo {
namespace {

using Ids = std::vector<int32_t>;
using Scores = std::map<std::string, double>;

Unigram Make(const Scores& scores, double unknown_score, Unigram::Sums sums) {
  Vocabulary vocabulary;
  std::vector<Unigram::Piece> pieces;
  vocabulary.Add("<unk>", 0, "");
  for (const auto& [text, score] : scores) {
    vocabulary.Add(text, vocabulary.size(), "");
    pieces.push_back({vocabulary.size() - 1, score});
  }
  return Unigram(std::move(vocabulary), pieces, 0, unknown_score, sums);
}

// The highest sum of all ways to cut the word.
double Best(const Scores& scores, double unknown_score, std::string_view word) {
  if (word.empty()) return 0;
  double best = -1e9;
  if (!scores.contains(std::string(word.substr(0, 1))))
    best = unknown_score + Best(scores, unknown_score, word.substr(1));
  for (const auto& [text, score] : scores)
    if (word.starts_with(text))
      best = std::max(best, score + Best(scores, unknown_score, word.substr(text.size())));
  return best;
}

TEST(Unigram, FindsTheBestOfAllWays) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    Scores scores;
    const double unknown_score = -20;
    while (scores.size() < 12) {
      std::string text;
      for (size_t i = 1 + random() % 4; i > 0; --i) text += "abc"[random() % 3];
      scores[text] = -static_cast<double>(random() % 16);  // sums are exact
    }
    std::string word;
    for (int i = 0; i < 10; ++i) word += "abc"[random() % 3];
    const Unigram model = Make(scores, unknown_score, Unigram::Sums::kFloat);
    Ids ids;
    model.Encode(word, &ids);
    double sum = 0;
    std::string known;
    for (const int32_t id : ids) {
      sum += id == 0 ? 0 : scores[*model.vocabulary.Text(id)];
      known += id == 0 ? "" : *model.vocabulary.Text(id);
    }
    sum += unknown_score * static_cast<double>(word.size() - known.size());
    ASSERT_EQ(sum, Best(scores, unknown_score, word)) << word;
  }
}

TEST(Unigram, UnknownRunsAreOneTokenOrBytes) {
  Unigram model = Make({{"a", -1}, {"<0xC3>", 0}, {"<0xA9>", 0}}, -20, Unigram::Sums::kDouble);
  const auto encode = [&](const char* word) {
    Ids ids;
    model.Encode(word, &ids);
    return ids;
  };
  EXPECT_EQ(encode("éxa中"), (Ids{0, 3, 0}));
  model.UseByteTokens();
  EXPECT_EQ(encode("ééa"), (Ids{2, 1, 2, 1, 3}));
  EXPECT_EQ(encode("éxa"), (Ids{0, 3}));  // x has no byte token
  EXPECT_EQ(encode(""), Ids{});
}

TEST(Unigram, TiesAndRoundingAreThoseOfThePrecision) {
  // Three a: "a" before and behind "aa" tie; that whose last piece begins first was met first.
  for (const auto sums : {Unigram::Sums::kFloat, Unigram::Sums::kDouble}) {
    Ids ids;
    Make({{"a", -2}, {"aa", -3}}, -20, sums).Encode("aaa", &ids);
    EXPECT_EQ(ids, (Ids{1, 2}));
  }
  // 2^-30 is lost beside 1 in float: "ab" ties with "a" and "b", and was met first.
  const Scores close{{"a", -1}, {"ab", -1 - std::ldexp(1, -30)}, {"b", 0}};
  Ids in_float, in_double;
  Make(close, -20, Unigram::Sums::kFloat).Encode("ab", &in_float);
  Make(close, -20, Unigram::Sums::kDouble).Encode("ab", &in_double);
  EXPECT_EQ(in_float, Ids{2});
  EXPECT_EQ(in_double, (Ids{1, 3}));
}

// The keys "A" and "AB", which become "xy" and " ".
std::string SmallMap() {
  std::vector<uint32_t> units(512);
  const auto unit = [](uint32_t label, uint32_t ends, uint32_t offset) {
    return label | ends << 8 | offset << 10;
  };
  units[0] = unit(0, 0, 0x100);            // the root's children are at 0x100 ^ byte
  units[0x141] = unit('A', 1, 0x141 ^ 8);  // its text at 8, its children at 8 ^ byte
  units[8] = uint32_t{1} << 31 | 0;
  units[8 ^ 'B'] = unit('B', 1, (8 ^ 'B') ^ 16);
  units[16] = uint32_t{1} << 31 | 3;
  std::string bytes("\0\x08\0\0", 4);
  for (const uint32_t u : units)
    for (unsigned i = 0; i < 4; ++i) bytes += static_cast<char>(u >> 8 * i & 255);
  return bytes + std::string("xy\0 \0", 5);
}

TEST(Charsmap, FindsTheLongestAndTheShortestKey) {
  const Charsmap map(SmallMap(), "t");
  using Which = Charsmap::Which;
  EXPECT_EQ(map.Find("ABC", Which::kLongest)->text, " ");
  EXPECT_EQ(map.Find("ABC", Which::kLongest)->bytes, 2u);
  EXPECT_EQ(map.Find("ABC", Which::kShortest)->text, "xy");
  EXPECT_EQ(map.Find("AC", Which::kLongest)->bytes, 1u);
  EXPECT_FALSE(map.Find("BA", Which::kLongest));
  EXPECT_FALSE(map.Find("", Which::kLongest));
  EXPECT_FALSE(map.Find(std::string_view("\0A", 2), Which::kShortest));
}

TEST(Charsmap, RefusesByName) {
  const std::string good = SmallMap();
  const auto with = [&](size_t at, char byte) {
    std::string bad = good;
    bad[at] = byte;
    return bad;
  };
  const size_t value = 4 + 16 * 4;  // where the text of "AB" begins
  for (const std::string& bad :
       {std::string(), std::string("\0\x08"), good.substr(0, 100), with(0, 1), with(2, 1),
        with(value, 7), with(good.size() - 2, '\xE4'), with(4 + 0x141 * 4 + 3, 0x7F)})
    EXPECT_THROW(Charsmap(bad, "t"), FileError);
  const size_t space = good.size() - 2;
  EXPECT_NO_THROW(Charsmap(std::string(good).insert(space, 255, 'x'), "t"));
  EXPECT_THROW(Charsmap(std::string(good).insert(space, 256, 'x'), "t"), FileError);
}

TEST(PieceNormalizer, ReplacesAndTrims) {
  PieceNormalizer n;
  n.map = std::make_shared<Charsmap>(SmallMap(), "t");
  n.kept = Trie({{"AA", 0}});
  EXPECT_EQ(n(" A  b"), "▁▁xy▁▁b");
  EXPECT_EQ(n("AABA"), "▁AABxy");  // AA is kept, and B alone is no key
  n.remove_extra_spaces = true;
  EXPECT_EQ(n("  AB A  ABb  "), "▁xy▁b");
  EXPECT_EQ(n("   "), "");
  n.add_prefix = false;
  EXPECT_EQ(n(" A "), "xy");
}

TEST(Normalizers, GraphemesAreReplacedWhole) {
  const Normalizer n = ReplaceGraphemes(std::make_shared<Charsmap>(SmallMap(), "t"));
  EXPECT_EQ(n("AcA\u0301B"), "xycxyB");                         // the accent is lost
  EXPECT_EQ(n("A\u0301\u0301\u0301"), "xy\u0301\u0301\u0301");  // not of one too long
  EXPECT_EQ(StripSpaceAtEnd()(" a \u3000\n"), " a");
  EXPECT_EQ(StripSpaceAtEnd()(" \n"), "");
}

TEST(Decoders, PiecesAreSentencePieces) {
  const auto decode = [](bool prefix, bool trims, std::vector<std::string> texts) {
    DecodePieces(prefix, trims)(&texts);
    return texts.at(0);
  };
  const std::vector<std::string> texts{"▁",      "▁a",     "▁b",     "<0xC3>",
                                       "<0xA9>", "<0xE4>", "<0xB8>", "c"};
  EXPECT_EQ(decode(true, false, texts), " a bé\uFFFD\uFFFDc");
  EXPECT_EQ(decode(true, true, texts), "a bé\uFFFD\uFFFDc");
  EXPECT_EQ(decode(false, false, texts), "  a bé\uFFFD\uFFFDc");
  EXPECT_EQ(decode(true, true, {"<0x20>", "▁a"}), "  a");
}

TokenTable Small() {
  TokenTable t;
  t.model = "t5";
  t.tokens = {"<unk>", "</s>", "▁", "a", "▁a", "aa", "▁aa!", "[x]"};
  t.scores = {0, 0, -3, -4, -2, -5, -1, 0};
  t.types = {2, 3, 1, 1, 1, 1, 5, 4};  // "▁aa!" is unused
  t.unknown = 0;
  t.eos = 1;
  return t;
}

TEST(TokenTable, UnigramModels) {
  TokenTable t = Small();
  EXPECT_EQ(MakeTokenizer(t, "t").Encode("aaa  a", true), (Ids{4, 5, 2, 4, 1}));
  t.remove_extra_whitespaces = true;
  t.precompiled_charsmap = SmallMap();
  const Tokenizer trimmed = MakeTokenizer(t, "t");
  EXPECT_EQ(trimmed.Encode("  aaABa[x]aa! ", false), (Ids{4, 3, 4, 7, 5, 0}));
  EXPECT_EQ(trimmed.Decode(Ids{2, 4, 3, 0, 7, 4, 1}), "aa[x] a");
  t.unknown = std::nullopt;
  EXPECT_THROW(MakeTokenizer(t, "t"), FileError);
  (t = Small()).scores.pop_back();
  EXPECT_THROW(MakeTokenizer(t, "t"), FileError);
}

nlohmann::json SmallJson() {
  return nlohmann::json::parse(R"({"normalizer": null, "pre_tokenizer": {"type": "WhitespaceSplit"},
      "model": {"type": "Unigram", "unk_id": 0, "byte_fallback": true, "vocab":
      [["<unk>", 0], ["a", -4], ["aa", -5.5], ["<0xC3>", 0], ["<0xA9>", 0]]}})");
}

TEST(TokenizerJson, UnigramModels) {
  const auto parse = [](const nlohmann::json& file) {
    return ParseTokenizerJson({"t.json", file.dump(), "", ""});
  };
  nlohmann::json file = SmallJson();
  EXPECT_EQ(parse(file).Encode("aaa\u3000é b", false), (Ids{1, 2, 3, 4, 0}));
  const std::string map = SmallMap();
  file["normalizer"] = {
      {"type", "Precompiled"},
      {"precompiled_charsmap", Base64(std::vector<char>(map.begin(), map.end()))}};
  EXPECT_EQ(parse(file).Encode("aABa", false), (Ids{1, 0, 1}));
  const std::pair<const char*, const char*> refused[] = {
      {"/model/unk_id", "null"},
      {"/model/unk_id", "5"},
      {"/model/vocab", "[]"},
      {"/model/vocab/1", R"(["a"])"},
      {"/model/vocab/1/1", R"("x")"},
      {"/model/vocab/1/0", R"("aa")"},
      {"/model/alpha", "0.1"},
      {"/normalizer/precompiled_charsmap", R"("AAAA")"},
      {"/normalizer/precompiled_charsmap", R"("?")"},
      {"/normalizer", R"({"type": "Strip", "strip_left": true, "strip_right": true})"},
  };
  for (const auto& [at, value] : refused) {
    nlohmann::json bad = file;
    bad[nlohmann::json::json_pointer(at)] = nlohmann::json::parse(value);
    EXPECT_THROW(parse(bad), FileError) << at << " = " << value;
  }
}

TEST(Unicode, Graphemes) {
  const auto graphemes = [](const std::string& text) {
    std::vector<std::string> all;
    for (size_t i = 0; i < text.size(); i += all.back().size())
      all.emplace_back(NextGrapheme(text, i));
    return all;
  };
  using Texts = std::vector<std::string>;
  EXPECT_EQ(graphemes("e\u0301\r\na"), (Texts{"e\u0301", "\r\n", "a"}));
  EXPECT_EQ(graphemes("a\u0897b\U000113D1c"),
            (Texts{"a\u0897", "b", "\U000113D1c"}));  // Unicode 16
  EXPECT_EQ(graphemes("👨‍👩🇩🇪🇩"), (Texts{"👨‍👩", "🇩🇪", "🇩"}));
}

}  // namespace
}  // namespace mezzo
