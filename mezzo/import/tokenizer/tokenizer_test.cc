// Tokenizers from small files made here, and stories260K's if MEZZO_SHARED_DATA is there.
#include "mezzo/import/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/import/tokenizer/bpe.h"
#include "mezzo/import/tokenizer/tokenizer_json.h"

namespace mezzo {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

json Added(const char* content, int id, const json& changes = json::object()) {
  json token{{"content", content},   {"id", id},        {"special", true}, {"normalized", false},
             {"single_word", false}, {"lstrip", false}, {"rstrip", false}};
  token.update(changes);
  return token;
}

// Byte-level: a b c, Ġ, ab, Ġab, abc; <s> and </s> around a text.
json Small() {
  return json::parse(R"({
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
    "normalizer": null,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
      "pair": [], "special_tokens": {"<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]}}},
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "Ġ": 3, "ab": 4, "Ġab": 5, "abc": 6},
              "merges": ["a b", ["Ġ", "ab"], "ab c"]}})");
}

json SmallWithTokens() {
  json file = Small();
  file["added_tokens"] = {Added("<s>", 7), Added("<s>>", 8)};
  return file;
}

Tokenizer Parse(const json& file, const std::string& config = "") {
  return ParseTokenizerJson({"t.json", file.dump(), "c.json", config});
}

TEST(Tokenizer, MergesWordsAndPutsTokensAround) {
  const Tokenizer t = Parse(SmallWithTokens());
  EXPECT_EQ(t.Encode("abc ab cab", false), (Ids{6, 5, 3, 2, 4}));
  EXPECT_EQ(t.Encode("", true), Ids{7});
  EXPECT_EQ(t.Encode("abc", true), (Ids{7, 6}));
  EXPECT_EQ(t.Encode("a<s>b<s>>c", false), (Ids{0, 7, 1, 8, 2}));  // the longest one
  EXPECT_EQ(t.Decode(Ids{7, 6, 5, 3, 2}), "abc ab c");
  EXPECT_EQ(t.vocabulary_size(), 9);
  EXPECT_THROW(t.Decode(Ids{9}), UsageError);
  EXPECT_THROW(t.Decode(Ids{-1}), UsageError);
}

TEST(Tokenizer, AddedTokensTakeSpaceAndRespectWords) {
  json file = Small();
  file["added_tokens"] = {Added("<s>", 7), Added("L", 8, {{"lstrip", true}}),
                          Added("R", 9, {{"rstrip", true}}),
                          Added("cc", 10, {{"single_word", true}})};
  const Tokenizer t = Parse(file);
  EXPECT_EQ(t.Encode("a \n L a", false), (Ids{0, 8, 3, 0}));
  EXPECT_EQ(t.Encode("aR \u3000 a", false), (Ids{0, 9, 0}));
  EXPECT_EQ(t.Encode("cc acc cca cc", false), (Ids{10, 3, 0, 2, 2, 3, 2, 2, 0, 3, 10}));
}

TEST(Tokenizer, BytesThatAreNoUtf8AreReplacementCharacters) {
  json file = SmallWithTokens();
  file["model"]["vocab"].update(json{{"ï", 9}, {"¿", 10}, {"½", 11}});
  const Tokenizer t = Parse(file);
  EXPECT_EQ(t.Encode("a\xFF\xE4\xB8", false), t.Encode("a\uFFFD\uFFFD", false));
  EXPECT_EQ(t.Encode("a\xFF", false), (Ids{0, 9, 10, 11}));
  EXPECT_EQ(t.Decode(Ids{0, 9, 10}), "a\uFFFD");
}

TEST(Tokenizer, ConfigNamesSpecialTokens) {
  const Tokenizer t =
      Parse(SmallWithTokens(), R"({"bos_token": "<s>", "eos_token": {"content": "abc"},
                                               "chat_template": "x", "model_max_length": 1})");
  EXPECT_EQ(t.bos(), 7);
  EXPECT_EQ(t.eos(), 6);
  EXPECT_EQ(t.chat_template(), "x");
  EXPECT_THROW(Parse(SmallWithTokens(), R"({"bos_token": "<pad>"})"), FileError);
}

// Each change to the file is refused with a message that holds all the words.
TEST(Tokenizer, RefusesByName) {
  struct Case {
    const char *at, *value;
    std::vector<std::string> words;
  };
  const Case cases[] = {
      {"/version", R"("2.0")", {"t.json: version", "2.0"}},
      {"/truncation", "{}", {"truncation"}},
      {"/surprise", "1", {"surprise"}},
      {"/normalizer", R"({"type": "BertNormalizer"})", {"normalizer.type", "BertNormalizer"}},
      {"/normalizer", R"({"type": "NFC", "x": 1})", {"normalizer", "'x'"}},
      {"/pre_tokenizer/type", R"("Whitespace")", {"pre_tokenizer.type", "Whitespace"}},
      {"/pre_tokenizer/use_regex", "3", {"pre_tokenizer.use_regex", "true or false"}},
      {"/decoder/type", R"("WordPiece")", {"decoder.type", "WordPiece"}},
      {"/post_processor/type", R"("BertProcessing")", {"post_processor.type", "BertProcessing"}},
      {"/post_processor/special_tokens/<s>/ids/0", "10", {"ids[0]", "10", "0 to 8"}},
      {"/post_processor/single/0/Sequence", R"({"id": "B"})", {"single[0]", "a SpecialToken, or"}},
      {"/model/type", R"("WordPiece")", {"model.type", "WordPiece", "BPE or Unigram"}},
      {"/model/dropout", "0.1", {"model.dropout"}},
      {"/model/end_of_word_suffix", R"("</w>")", {"end_of_word_suffix", "</w>"}},
      {"/model/unk_token", R"("<unk>")", {"model.unk_token", "<unk>"}},
      {"/model/vocab/a", "1", {"model.vocab", "'a' and 'b'", "id 1"}},
      {"/model/vocab/a", "-1", {"'a'", "-1"}},
      {"/model/vocab/a", "9999999999", {"'a'", "9999999999"}},
      {"/model/vocab/a", "1.5", {"model.vocab.a", "1.5"}},
      {"/model/merges/0", R"("a z")", {"model.merges[0]", "'z'"}},
      {"/model/merges/0", R"("a c")", {"model.merges[0]", "'ac'"}},
      {"/model/merges/0", R"("ab")", {"model.merges[0]", "ab", "two tokens"}},
      {"/added_tokens/0/id", "3", {"added_tokens[0]", "<s>", "'Ġ'"}},
      {"/added_tokens/0/content", R"("a")", {"added_tokens[0]", "'a'", "as 0"}},
      {"/added_tokens/1/content", R"("<s>")", {"added_tokens[1]", "<s>"}},
      {"/added_tokens/1/id", "7", {"added_tokens[1]", "id 7"}},
      {"/added_tokens/1/content", R"("")", {"added_tokens[1]"}},
      {"/added_tokens/1/lstrip", "null", {"added_tokens[1]", "lstrip"}},
  };
  for (const Case& c : cases) {
    json file = SmallWithTokens();
    file[json::json_pointer(c.at)] = json::parse(c.value);
    try {
      Parse(file);
      ADD_FAILURE() << c.at << " = " << c.value << " was accepted";
    } catch (const FileError& e) {
      const std::string message = e.what();
      EXPECT_TRUE(message.starts_with("t.json: ")) << message;
      for (const std::string& word : c.words)
        EXPECT_NE(message.find(word), message.npos) << message << " lacks " << word;
    }
  }
  EXPECT_THROW(ParseTokenizerJson({"t.json", R"({"model": {}, "model": {}})", "", ""}), FileError);
  EXPECT_THROW(ParseTokenizerJson({"t.json", "{", "", ""}), FileError);
}

// Algorithm 1 of the paper, literally.
Ids MergeOneByOne(Ids ids, const std::map<std::pair<int, int>, std::pair<int, int>>& merges) {
  while (true) {
    auto best = merges.end();
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      if (const auto it = merges.find({ids[i], ids[i + 1]});
          it != merges.end() && (best == merges.end() || it->second.first < best->second.first))
        best = it, at = i;
    if (best == merges.end()) return ids;
    ids[at] = best->second.second;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

TEST(Bpe, EqualsMergingOneByOne) {
  std::mt19937 random(1);
  const auto below = [&](size_t n) { return static_cast<int32_t>(random() % n); };
  for (int round = 0; round < 200; ++round) {
    Bpe bpe;
    std::vector<std::string> tokens{"a", "b", "c"};
    for (int32_t id = 0; id < 3; ++id) bpe.vocabulary.Add(tokens[static_cast<size_t>(id)], id, "");
    std::map<std::pair<int, int>, std::pair<int, int>> merges;
    while (tokens.size() < 40) {
      const int32_t l = below(tokens.size()), r = below(tokens.size());
      const std::string merged = tokens[static_cast<size_t>(l)] + tokens[static_cast<size_t>(r)];
      if (merged.size() > 12) continue;
      int32_t id = bpe.vocabulary.Find(merged).value_or(-1);
      if (id < 0) {
        id = static_cast<int32_t>(tokens.size());
        tokens.push_back(merged);
        bpe.vocabulary.Add(merged, id, "");
      }
      const int32_t rank = below(30);  // with ties
      merges[{l, r}] = {rank, id};
      bpe.AddMerge(l, r, rank, id);
    }
    std::string word;
    Ids start;
    for (int i = below(60); i >= 0; --i) {
      start.push_back(below(3));
      word += tokens[static_cast<size_t>(start.back())];
    }
    Ids got;
    bpe.Encode(word, &got);
    ASSERT_EQ(got, MergeOneByOne(start, merges)) << word;
  }
}

TEST(Bpe, LongWordsAreNotQuadratic) {
  const Tokenizer t = Parse(SmallWithTokens());
  constexpr size_t kPairs = 1 << 20;  // one by one, that would be 10^12 steps
  std::string word;
  for (size_t i = 0; i < kPairs; ++i) word += "ab";
  EXPECT_EQ(t.Encode(word, false), Ids(kPairs, 4));
}

TEST(Tokenizer, ThreadsShareIt) {
  const Tokenizer t = Parse(SmallWithTokens());
  std::string text;
  for (int i = 0; i < 2000; ++i) text += i % 3 ? " ab" : " cab<s>";
  const Ids want = t.Encode(text, true);
  std::vector<Ids> got(4);
  std::vector<std::thread> threads;
  for (Ids& ids : got) threads.emplace_back([&] { ids = t.Encode(text, true); });
  for (std::thread& thread : threads) thread.join();
  for (const Ids& ids : got) EXPECT_EQ(ids, want);
}

}  // namespace
}  // namespace mezzo
