// Streams of tokens, and chat prompts.
#include <gtest/gtest.h>

#include "mezzo/base/error.h"
#include "mezzo/import/tokenizer/chat.h"
#include "mezzo/import/tokenizer/token_stream.h"
#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {
namespace {

using Ids = std::vector<int32_t>;
using Texts = std::vector<std::string>;

// 0 <s>, 1 ▁, 2 ▁a, 3 b, and the bytes of é (4, 5) and of 中 (6, 7, 8).
Tokenizer Pieces() {
  TokenTable t;
  t.model = "llama";
  t.tokens = {"<s>", "\u2581", "\u2581a", "b", "<0xC3>", "<0xA9>", "<0xE4>", "<0xB8>", "<0xAD>"};
  t.types = {3, 1, 1, 1, 6, 6, 6, 6, 6};
  t.scores = std::vector<float>(9, 0);
  return MakeTokenizer(t, "t");
}

Texts Streamed(const Ids& ids) {
  TokenStream stream(Pieces());
  Texts texts;
  for (const int32_t id : ids) texts.push_back(stream.Push(id));
  texts.push_back(stream.Finish());
  return texts;
}

TEST(TokenStream, HoldsBackWhatIsIncomplete) {
  EXPECT_EQ(Streamed({2, 3, 2, 3}), (Texts{"a", "b", " a", "b", ""}));
  EXPECT_EQ(Streamed({2, 4, 5, 6, 7, 8, 3}), (Texts{"a", "", "é", "", "", "中", "b", ""}));
  EXPECT_EQ(Streamed({0, 0, 2, 0, 2}), (Texts{"", "", "a", "", " a", ""}));
  EXPECT_EQ(Streamed({1, 2}), (Texts{"", " a", ""}));  // only the first space is dropped
  EXPECT_EQ(Streamed({2, 6, 7}), (Texts{"a", "", "", "\uFFFD\uFFFD"}));
  EXPECT_EQ(Streamed({4, 5, 4, 3}),
            (Texts{"", "é", "", "\uFFFDb", ""}));  // é has been told already
}

TEST(TokenStream, DoesNotWaitForEver) {
  TokenStream stream(Pieces());
  std::string told;
  for (int i = 0; i < 100; ++i) told += stream.Push(8);
  EXPECT_GT(told.size(), 90 * 3u);
}

TEST(TokenStream, IsDecodeInPieces) {
  const Tokenizer t = Pieces();
  uint32_t state = 1;
  for (int round = 0; round < 500; ++round) {
    Ids ids;
    for (int i = 0; i < 20; ++i) {
      state = state * 1664525 + 1013904223;
      const int kind = static_cast<int>(state >> 24) % 6;
      if (kind < 4) ids.push_back(kind);
      if (kind == 4) ids.insert(ids.end(), {4, 5});
      if (kind == 5) ids.insert(ids.end(), {6, 7, 8});
    }
    std::string all;
    for (const std::string& text : Streamed(ids)) all += text;
    ASSERT_EQ(all, t.Decode(ids));
  }
}

TEST(Chat, PromptsAreThoseOfTheTemplates) {
  const std::vector<ChatMessage> messages{
      {"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Hello"}, {"user", " Bye "}};
  EXPECT_EQ(ChatPrompt(ChatFormat::kChatMl, messages),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\n Bye <|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(ChatPrompt(ChatFormat::kLlama2, messages),
            "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST] Hello </s><s>[INST] Bye [/INST]");
  EXPECT_EQ(ChatPrompt(ChatFormat::kLlama3, messages),
            "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|>"
            "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\n");
  EXPECT_EQ(ChatPrompt(ChatFormat::kNone, {{"user", "Hi"}}), "Hi");
  EXPECT_THROW(ChatPrompt(ChatFormat::kLlama2, {{"assistant", "Hi"}}), UsageError);
  EXPECT_THROW(ChatPrompt(ChatFormat::kLlama2, {{"user", "Hi"}, {"assistant", "Hi"}}), UsageError);
  EXPECT_THROW(ChatPrompt(ChatFormat::kChatMl, {{"tool", "Hi"}}), UsageError);
}

TEST(Chat, TemplatesAreRecognizedOrRefused) {
  EXPECT_EQ(RecognizeChat(""), ChatFormat::kNone);
  EXPECT_EQ(RecognizeChat("{{'<|im_start|>' + m + '<|im_end|>'}}"), ChatFormat::kChatMl);
  EXPECT_EQ(RecognizeChat("[INST] {% if %}<<SYS>>"), ChatFormat::kLlama2);
  EXPECT_EQ(RecognizeChat("<|start_header_id|>{{m}}<|eot_id|>"), ChatFormat::kLlama3);
  EXPECT_THROW(RecognizeChat("[INST] {{m}} [/INST]"), UsageError);  // Mistral's
  EXPECT_EQ(ChatFormatOf("llama-3"), ChatFormat::kLlama3);
  EXPECT_THROW(ChatFormatOf("alpaca"), UsageError);
}

}  // namespace
}  // namespace mezzo
