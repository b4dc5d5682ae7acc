// GGUF, SentencePiece and llama2.c vocabularies.
#include "mezzo/import/tokenizer/token_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <functional>

#include "mezzo/base/error.h"
#include "mezzo/base/files.h"
#include "mezzo/import/tokenizer/token_stream.h"

namespace mezzo {
namespace {

using Ids = std::vector<int32_t>;

TokenTable Pieces() {
  TokenTable t;
  t.model = "llama";
  t.tokens = {"<unk>", "<s>",     "</s>",   "\u2581", "a",     "b",
              "ab",    "\u2581a", "<0xC3>", "<0xA9>", "<0xFF>"};
  t.scores = {0, 0, 0, -9, -9, -9, -2, -1, 0, 0, 0};
  t.types = {2, 3, 3, 1, 1, 1, 1, 1, 6, 6, 6};
  t.bos = 1;
  t.eos = 2;
  t.unknown = 0;
  return t;
}

TokenTable Bytes() {
  TokenTable t;
  t.model = "gpt2";
  t.pre = "gpt-2";
  t.tokens = {"a", "b", "Ġ", "ab", "Ġab", "<|end|>", "1", "11"};
  t.types = {1, 1, 1, 1, 1, 3, 1, 1};
  t.merges = {"a b", "Ġ ab", "1 1"};
  t.bos = 5;
  return t;
}

TEST(TokenTable, PiecesMergeByScore) {
  const Tokenizer t = MakeTokenizer(Pieces(), "t");
  EXPECT_EQ(t.Encode("ab", true), (Ids{1, 7, 5}));  // "▁a" scores more than "ab"
  EXPECT_EQ(t.Encode("bab", false), (Ids{3, 5, 6}));
  EXPECT_EQ(t.Encode("é", false), (Ids{3, 8, 9}));
  EXPECT_EQ(t.Encode("中国", false), (Ids{3, 0}));  // one for both
  EXPECT_EQ(t.Encode("a</s>a", false), (Ids{7, 2, 7}));
  EXPECT_EQ(t.Encode("", true), Ids{1});
  EXPECT_EQ(t.Decode(Ids{1, 7, 5, 3, 8, 9}), "ab é");
  EXPECT_EQ(t.Decode(Ids{7, 8}), "a\uFFFD");
  TokenTable bare = Pieces();
  bare.add_space_prefix = false;
  bare.add_bos = false;
  bare.add_eos = true;
  EXPECT_EQ(MakeTokenizer(bare, "t").Encode("ab", true), (Ids{6, 2}));
}

TEST(TokenTable, BytesMergeByRank) {
  EXPECT_EQ(MakeTokenizer(Bytes(), "t").Encode("ab ab11<|end|>", true), (Ids{3, 4, 7, 5}));
  TokenTable digits = Bytes();
  digits.pre = "smollm";
  EXPECT_EQ(MakeTokenizer(digits, "t").Encode("ab11", true), (Ids{3, 6, 6}));
  TokenTable llama = Bytes();
  llama.pre = "llama-bpe";
  EXPECT_EQ(MakeTokenizer(llama, "t").Encode("ab", true), (Ids{5, 3}));
}

TEST(TokenTable, RefusesByName) {
  const std::pair<std::function<void(TokenTable&)>, const char*> cases[] = {
      {[](TokenTable& t) { t.model = "bert"; }, "bert"},
      {[](TokenTable& t) { t.scores.pop_back(); }, "scores has 10 numbers, needs 11"},
      {[](TokenTable& t) { t.scores[0] = NAN; }, "NaN"},
      {[](TokenTable& t) { t.types.pop_back(); }, "token_type has 10"},
      {[](TokenTable& t) { t.types[3] = 7; }, "token_type[3] is 7"},
      {[](TokenTable& t) { t.tokens[3] = "a"; }, "'a'"},
      {[](TokenTable& t) { t.tokens[3] = "\xFF"; }, "tokens[3]"},
      {[](TokenTable& t) { t.tokens.clear(); }, "tokens is empty"},
      {[](TokenTable& t) { t.eos = 11; }, "eos_token_id is 11"},
      {[](TokenTable& t) { (t = Bytes()).pre = "dots1"; }, "dots1"},
      {[](TokenTable& t) { (t = Bytes()).merges[1] = "a z"; }, "merges[1] is 'a z'"},
      {[](TokenTable& t) { (t = Bytes()).merges[1] = ""; }, "merges[1]"},
  };
  for (const auto& [change, words] : cases) {
    TokenTable t = Pieces();
    change(t);
    try {
      MakeTokenizer(t, "t");
      ADD_FAILURE() << words;
    } catch (const FileError& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos)
          << e.what() << " lacks " << words;
    }
  }
}

// Protocol buffers by hand: a field of bytes, a number, a float.
std::string Field(int field, const std::string& bytes) {
  return std::string{static_cast<char>(field << 3 | 2), static_cast<char>(bytes.size())} + bytes;
}
std::string Field(int field, int number) {
  std::string tag(1, static_cast<char>((field << 3 & 127) | (field > 15 ? 128 : 0)));
  if (field > 15) tag += static_cast<char>(field >> 4);
  return tag + static_cast<char>(number);
}
std::string Piece(const std::string& text, float score, int type) {
  const auto bits = std::bit_cast<uint32_t>(score);
  std::string s = Field(1, text) + static_cast<char>(2 << 3 | 5);
  for (unsigned i = 0; i < 4; ++i) s += static_cast<char>(bits >> 8 * i & 255);
  return Field(1, s + Field(3, type));
}

TEST(SentencePiece, IsReadAndRefused) {
  const std::string pieces =
      Piece("<unk>", 0, 2) + Piece("\u2581", -1, 1) + Piece("a", -2, 1) + Piece("aa", -0.5, 1);
  const std::string bpe = Field(2, Field(3, 2)), plain = Field(3, Field(4, 0));
  const TokenTable t = ParseSentencePiece(pieces + bpe + plain, "m");
  EXPECT_EQ(t.tokens, (std::vector<std::string>{"<unk>", "\u2581", "a", "aa"}));
  EXPECT_EQ(t.scores[3], -0.5f);
  EXPECT_EQ(t.types, (Ids{2, 1, 1, 1}));
  EXPECT_EQ(t.eos, 2);
  EXPECT_EQ(MakeTokenizer(t, "m").Encode("aaa", false), (Ids{1, 3, 2}));
  const TokenTable u = ParseSentencePiece(
      pieces + Field(2, Field(3, 1) + Field(40, 3)) + Field(3, Field(2, "map") + Field(3, 0)), "m");
  EXPECT_EQ(u.model, "t5");
  EXPECT_EQ(u.unknown, 0);  // by its type
  EXPECT_EQ(u.precompiled_charsmap, "map");
  EXPECT_EQ(u.add_space_prefix, false);
  EXPECT_EQ(u.remove_extra_whitespaces, true);
  const std::string bad[] = {
      "",
      "{}",
      pieces,
      pieces + bpe,
      (pieces + bpe + plain).substr(0, 20),
      pieces + Field(2, Field(3, 3)) + plain,                // words
      Piece("a", -2, 1) + Field(2, Field(3, 1)) + plain,     // unigram without an unknown piece
      pieces + bpe + plain + Field(5, Field(2, "x")),        // replaces when decoding
      pieces + bpe + Field(3, Field(2, "x") + Field(4, 0)),  // normalizes
      pieces + bpe + Field(3, ""),                           // trims by default
      pieces + bpe + Field(3, Field(4, 0) + Field(5, 0)),    // spaces as they are
      pieces + bpe + plain + "\x0B",
      std::string(20, '\xFF'),
  };
  for (const std::string& bytes : bad) EXPECT_THROW(ParseSentencePiece(bytes, "m"), FileError);
}

// A byte-level tokenizer.json with these stages and this fifth merge.
std::string ByteLevelJson(const std::string& stages, const std::string& merge) {
  return Cat(R"({"version": "1.0", "added_tokens": [{"id": 9, "content": "<end>", "special": true,
      "normalized": false, "single_word": false, "lstrip": false, "rstrip": false}],
      "pre_tokenizer": {"type": "Sequence", "pretokenizers": [)",
             stages, R"(]}, "decoder": {"type": "ByteLevel", "add_prefix_space": true,
      "trim_offsets": true, "use_regex": true}, "model": {"type": "BPE", "vocab": {"1": 0, "9": 1,
      "19": 2, "\u0120": 3, "\u0120\u0120": 4, "f": 5, "f\u0120": 6},
      "merges": ["1 9", ["\u0120", "\u0120"])",
             merge, "]}}");
}
const std::string kDigits = R"({"type": "Digits", "individual_digits": true})";
std::string ByteLevel(bool regex) {
  return Cat(R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,)",
             R"("use_regex": )", regex ? "true}" : "false}");
}

class TableOfFolder : public testing::Test {
 protected:
  TokenTable Of(const std::string& json, size_t size = 12) {
    WriteFile(folder_.path() / "tokenizer.json", json);
    return TableOf(folder_.path(), size);
  }
  const TemporaryFolder folder_;
};

TEST_F(TableOfFolder, FindsTheKindOfWordsByWhatItEncodes) {
  EXPECT_EQ(Of(ByteLevelJson(ByteLevel(true), "")).pre, "gpt-2");
  const TokenTable t = Of(ByteLevelJson(kDigits + "," + ByteLevel(true), ""));
  EXPECT_EQ(t.pre, "smollm");
  EXPECT_EQ(t.merges, (std::vector<std::string>{"1 9", "Ġ Ġ"}));
  EXPECT_EQ(t.tokens[9], "<end>");
  EXPECT_EQ(t.types, (Ids{1, 1, 1, 1, 1, 1, 1, 5, 5, 3, 5, 5}));
  EXPECT_EQ(t.tokens[8], "[PAD8]");
}

TEST_F(TableOfFolder, RefusesWhatHasNoName) {
  // A word that goes on behind a space.
  EXPECT_THROW(Of(ByteLevelJson(ByteLevel(false), R"(, "f \u0120")")), FileError);
  EXPECT_THROW(Of(ByteLevelJson(ByteLevel(true), ""), 9), FileError);  // too many
  // A unigram model without its tokenizer.model.
  EXPECT_THROW(Of(R"({"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a", 0]]}})"),
               FileError);
}

TEST_F(TableOfFolder, UnigramModelsGoIntoGguf) {
  const std::string pieces = Piece("<unk>", 0, 2) + Piece("\u2581", -1, 1) + Piece("a", -2, 1) +
                             Field(2, Field(3, 1)) + Field(3, "");
  WriteFile(folder_.path() / "tokenizer.model", pieces);
  Gguf file;
  file.metadata = TokenizerMetadata(folder_.path(), 4);
  const std::vector<int8_t> map{'m', -1};
  file.metadata.push_back({"tokenizer.ggml.precompiled_charsmap", map});
  const TokenTable t = TokensOf(file);
  EXPECT_EQ(t.model, "t5");
  EXPECT_EQ(t.tokens[3], "[PAD3]");
  EXPECT_EQ(t.remove_extra_whitespaces, true);
  EXPECT_EQ(t.precompiled_charsmap, "m\xFF");
  EXPECT_EQ(t.add_eos, false);
}

TEST_F(TableOfFolder, PiecesOfATokenizerModel) {
  const std::string pieces = Piece("<unk>", 0, 2) + Piece("\u2581", -1, 1) + Piece("a", -2, 1) +
                             Piece("aa", -0.5, 1) + Field(2, Field(3, 2)) + Field(3, Field(4, 0));
  WriteFile(folder_.path() / "tokenizer.model", pieces);
  const TokenTable alone = TableOf(folder_.path(), 5);
  EXPECT_EQ(alone.model, "llama");
  EXPECT_EQ(alone.tokens[4], "[PAD4]");
  EXPECT_EQ(alone.types, (Ids{2, 1, 1, 1, 5}));
  // A tokenizer.json beside it says the same, and one token more.
  const TokenTable both = Of(R"({"version": "1.0", "added_tokens": [{"id": 4, "content": "<end>",
      "special": true, "normalized": false, "single_word": false, "lstrip": false,
      "rstrip": false}], "normalizer": {"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "\u2581"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
      "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
      "vocab": {"<unk>": 0, "\u2581": 1, "a": 2, "aa": 3}, "merges": ["a a"]}})",
                             6);
  EXPECT_EQ(both.model, "llama");
  EXPECT_EQ(both.scores[3], -0.5f);
  EXPECT_EQ(both.types, (Ids{2, 1, 1, 1, 3, 5}));
  EXPECT_EQ(both.add_bos, false);
}

// llama2.c: of all neighbours that make a token, the one with the highest score, until there is
// none.
Ids Llama2c(const TokenTable& t, const std::string& text) {
  const auto find = [&](const std::string& token) {
    const auto it = std::find(t.tokens.begin(), t.tokens.end(), token);
    return it == t.tokens.end() ? -1 : static_cast<int32_t>(it - t.tokens.begin());
  };
  Ids ids;
  for (const char c : " " + text) {
    const int32_t id = find(c == ' ' ? "\u2581" : std::string(1, c));
    ids.push_back(id >= 0 ? id : static_cast<unsigned char>(c) + 3);
  }
  while (true) {
    int32_t best = -1;
    size_t at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto text_of = [&](int32_t id) { return t.tokens[static_cast<size_t>(id)]; };
      const int32_t id = find(text_of(ids[i]) + text_of(ids[i + 1]));
      if (id >= 0 &&
          (best < 0 || t.scores[static_cast<size_t>(id)] > t.scores[static_cast<size_t>(best)]))
        best = id, at = i;
    }
    if (best < 0) return ids;
    ids[at] = best;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(at) + 1);
  }
}

TEST(Llama2c, Stories260KEqualsItsOwnAlgorithm) {
  const char* root = std::getenv("MEZZO_SHARED_DATA");
  if (!root) GTEST_SKIP() << "MEZZO_SHARED_DATA does not name a folder of real models";
  const std::filesystem::path data = root, path = data / "llm/stories260K/tokenizer.bin";
  const TokenTable table = ParseLlama2c(ReadFile(path), path.string());
  const Tokenizer t = ReadTokenizer(path);
  EXPECT_EQ(t.vocabulary_size(), 512);
  EXPECT_EQ(t.Encode("Once upon a time", true), (Ids{1, 403, 407, 261, 378}));
  const std::string text = ReadFile(data / "text/tinystories-sample.txt");
  const Ids all = t.Encode(text, false);
  EXPECT_EQ(t.Decode(all), text);
  TokenStream stream(t);
  std::string streamed;
  for (const int32_t id : all) streamed += stream.Push(id);
  EXPECT_EQ(streamed + stream.Finish(), text);
  for (size_t i = 0; i + 60 < 20000; i += 60)
    ASSERT_EQ(t.Encode(text.substr(i, 60), false), Llama2c(table, text.substr(i, 60)));
}

TEST(Llama2c, RefusesTruncatedFiles) {
  const std::string header("\x04\0\0\0", 4), token("\0\0\0\0\x01\0\0\0a", 9);
  EXPECT_EQ(ParseLlama2c(header + token, "t").tokens, std::vector<std::string>{"a"});
  for (const std::string& bytes : {std::string(), header.substr(1), header + token.substr(0, 8),
                                   header + std::string("\0\0\0\0\x05\0\0\0abcde", 13),
                                   header + std::string("\0\0\0\0\xFF\xFF\xFF\xFF", 8)})
    EXPECT_THROW(ParseLlama2c(bytes, "t"), FileError);
}

}  // namespace
}  // namespace mezzo
