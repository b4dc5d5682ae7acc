#include "mezzo/checkpoint/llama2c.h"

#include <cmath>

#include "mezzo/checkpoint/testing.h"

namespace mezzo {
namespace {

// The first value of a tensor; the corpus counts them through the file.
float First(const Checkpoint& c, const std::string& name) {
  return *c.At(name).Read().data<float>();
}

TEST(Llama2c, BothVersionsPlaceTheirTensors) {
  // dim 8, hidden_dim 3, 2 layers, 2 heads, 1 key-value head, vocab 5, seq_len 4.
  const Llama2c v0 = ReadLlama2c(Corpus("llama2c/ok_v0"));
  EXPECT_EQ(v0.dim, 8);
  EXPECT_EQ(v0.kv_heads, 1);
  EXPECT_EQ(v0.vocab, 5);
  EXPECT_TRUE(v0.shared_classifier);
  EXPECT_EQ(v0.tensors.size(), 2u * 9 + 4);
  EXPECT_EQ(First(v0, "tok_embeddings.weight"), 0);
  EXPECT_EQ(First(v0, "layers.1.attention_norm.weight"), 40 + 8);
  EXPECT_EQ(First(v0, "layers.1.attention.wk.weight"), 40 + 16 + 2 * 64 + 32);
  EXPECT_EQ(v0.At("layers.1.attention.wk.weight").shape, (Shape{4, 8}));
  EXPECT_EQ(v0.At("layers.1.feed_forward.w2.weight").shape, (Shape{8, 3}));
  EXPECT_EQ(First(v0, "norm.weight"), 40 + 16 + 2 * (64 + 32 + 32 + 64) + 16 + 2 * 3 * 24);
  EXPECT_EQ(v0.At("freqs_sin").shape, (Shape{4, 2}));

  const Llama2c v1 = ReadLlama2c(Corpus("llama2c/ok_v1"));
  EXPECT_EQ(v1.version, 1);
  EXPECT_EQ(v1.tensors.size(), 2u * 9 + 2);
  EXPECT_EQ(First(v1, "layers.1.ffn_norm.weight"), 16 + 8);
  EXPECT_EQ(First(v1, "tok_embeddings.weight"), 16 + 16 + 8);
  EXPECT_EQ(First(v1, "layers.0.attention.wq.weight"), 16 + 16 + 8 + 40);
}

TEST(Llama2c, AClassifierOfItsOwnComesLast) {
  const Llama2c v0 = ReadLlama2c(Corpus("llama2c/ok_v0_classifier"));
  EXPECT_FALSE(v0.shared_classifier);
  EXPECT_EQ(v0.vocab, 5);
  EXPECT_EQ(v0.At("output.weight").shape, (Shape{5, 8}));
  EXPECT_EQ(First(v0, "output.weight"), First(v0, "freqs_sin") + 8);
  const Llama2c v1 = ReadLlama2c(Corpus("llama2c/ok_v1_classifier"));
  EXPECT_FALSE(v1.shared_classifier);
  EXPECT_EQ(First(v1, "output.weight"), First(v1, "layers.1.feed_forward.w3.weight") + 24);
}

TEST(Llama2c, RefusalsSayWhatIsWrong) {
  const auto refusal = [](const std::string& name) {
    return Refusal([&] { ReadLlama2c(Corpus("llama2c/" + name)); });
  };
  EXPECT_EQ(refusal("bad_truncated"),
            "llama2c/bad_truncated: has 2492 bytes of weights, its header says 2496");
  EXPECT_EQ(refusal("bad_v2"),
            "llama2c/bad_v2: is a llama2.c model of version 2, known are 0 and 1");
  EXPECT_EQ(refusal("bad_zero"),
            "llama2c/bad_zero: is no llama2.c model: its header holds the size 0");
  EXPECT_EQ(refusal("bad_overflow"),
            "llama2c/bad_overflow: has 32 bytes of weights, its header says 18446744073709551615");
}

TEST(Llama2cTokenizer, ReadsTokensUpToTheEnd) {
  const auto tokens = ReadLlama2cTokenizer(Corpus("llama2c_tokenizer/ok_tokens"));
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[0].text, "<unk>");
  EXPECT_EQ(tokens[1].text, "");
  EXPECT_TRUE(std::isnan(tokens[1].score));
  EXPECT_EQ(tokens[2].text, "\u00e4");
  EXPECT_EQ(tokens[2].score, -1.5f);
  EXPECT_EQ(tokens[3].text, std::string("\0\xff", 2));
}

TEST(Llama2cTokenizer, RefusalsNameTheToken) {
  const auto refusal = [](const std::string& name) {
    return Refusal([&] { ReadLlama2cTokenizer(Corpus("llama2c_tokenizer/" + name)); });
  };
  EXPECT_EQ(refusal("bad_truncated_text"),
            "llama2c_tokenizer/bad_truncated_text: token 3: needs 2 bytes, the file has 1");
  EXPECT_EQ(refusal("bad_longer_than_longest"),
            "llama2c_tokenizer/bad_longer_than_longest: token 0: has a length of 3, the longest is "
            "said to be 2");
}

}  // namespace
}  // namespace mezzo
