#include "mezzo/runtime/decoder/decoder.h"

#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/import/llm/tiny_model_test.h"
#include "mezzo/runtime/language.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

std::vector<int32_t> Tokens(int64_t n) {
  std::vector<int32_t> t(n);
  for (int64_t i = 0; i < n; ++i) t[i] = static_cast<int32_t>(i * 37 % 96);
  return t;
}

Tensor GraphLogits(const LanguageModel& model, const std::vector<int32_t>& tokens) {
  const Graph head = model.Head();
  return Session(head, {}).Run({{"x", RunBlocks(model, {tokens}, {})[0]}})[0];
}

class DecoderTest : public testing::TestWithParam<const char*> {
 protected:
  DecoderTest() {
    const std::string kind = GetParam();
    if (kind == "gpt2")
      TinyModel::WriteGpt2(folder_);
    else
      TinyModel::WriteLlama(folder_, {{"model_type", kind}});
  }
  const fs::path folder_ = fs::path(testing::TempDir()) / "decoder_model";
};

TEST_P(DecoderTest, GivesTheBitsOfTheGraphsHoweverTheTextIsCut) {
  const LanguageModel model = LanguageModel::Open(folder_);
  const auto tokens = Tokens(43);
  const Tensor want = GraphLogits(model, tokens);
  for (const int64_t step : {43, 1, 5}) {
    Decoder decoder(model, {.threads = Threads(step == 5 ? 3 : 1)});
    for (int64_t t = 0; t < 43; t += step) {
      const auto n = std::min(step, 43 - t);
      const Tensor got = decoder.Logits(decoder.Read(std::span(tokens).subspan(t, n)));
      for (int64_t i = 0; i < got.numel(); ++i)
        ASSERT_EQ(got.data<float>()[i], want.data<float>()[t * 96 + i]) << step << "," << t;
    }
  }
}

TEST_P(DecoderTest, ARotatedModelIsTheSameFunction) {
  const LanguageModel model = LanguageModel::Open(folder_);
  if (model.gpt2()) {
    EXPECT_THROW(model.Rotated(), UsageError);
    return;
  }
  const LanguageModel rotated = model.Rotated();
  const auto tokens = Tokens(43);
  const Tensor want = GraphLogits(model, tokens), got = GraphLogits(rotated, tokens);
  for (int64_t i = 0; i < want.numel(); ++i)
    ASSERT_NEAR(got.data<float>()[i], want.data<float>()[i], 2e-4) << i;
  Decoder decoder(rotated, {});
  const Tensor decoded = decoder.Logits(decoder.Read(tokens));
  for (int64_t i = 0; i < want.numel(); ++i)
    ASSERT_EQ(decoded.data<float>()[i], got.data<float>()[i]) << i;
  // It is another basis: the hidden states are others, of the same length.
  const Tensor a = model.Embed(tokens, 0), b = rotated.Embed(tokens, 0);
  double before = 0, after = 0, between = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    before += x * x, after += y * y, between += x * y;
  }
  EXPECT_NEAR(after, before, 1e-5 * before);
  EXPECT_LT(std::fabs(between), 0.5 * before);
}

INSTANTIATE_TEST_SUITE_P(Models, DecoderTest, testing::Values("llama", "qwen2", "gpt2"));

TEST(Decoder, ForgetsAndGoesOnAsIfNothingHadBeenAndKnowsItsLimits) {
  const fs::path folder = fs::path(testing::TempDir()) / "decoder_rewind";
  TinyModel::WriteLlama(folder);
  const LanguageModel model = LanguageModel::Open(folder);
  Decoder decoder(model, {.context = 20});
  const auto tokens = Tokens(20);
  const Tensor all = decoder.Read(tokens);
  decoder.Rewind(7);
  const Tensor again = decoder.Read(std::span(tokens).subspan(7));
  for (int64_t i = 0; i < again.numel(); ++i)
    ASSERT_EQ(again.data<float>()[i], all.data<float>()[7 * 32 + i]);
  EXPECT_THROW(decoder.Read(Tokens(1)), UsageError);
  EXPECT_THROW(decoder.Rewind(21), UsageError);
  EXPECT_THROW(Decoder(model, {.context = 65}), UsageError);
  decoder.Rewind(0);
  EXPECT_THROW(decoder.Read(std::vector<int32_t>{96}), UsageError);
}

TEST(Decoder, CachesInFewerBitsAreClose) {
  const fs::path folder = fs::path(testing::TempDir()) / "decoder_kv";
  TinyModel::WriteLlama(folder);
  const LanguageModel model = LanguageModel::Open(folder);
  const auto tokens = Tokens(40);
  Decoder plain(model, {});
  const Tensor want = plain.Logits(plain.Read(tokens));
  for (const KvFormat kv : {KvFormat::kInt16, KvFormat::kInt8, KvFormat::kFp8}) {
    Decoder decoder(model, {.kv = kv});
    const Tensor got = decoder.Logits(decoder.Read(tokens));
    double error = 0, power = 0;
    for (int64_t i = 0; i < got.numel(); ++i) {
      error += std::pow(got.data<float>()[i] - want.data<float>()[i], 2);
      power += std::pow(want.data<float>()[i], 2);
    }
    EXPECT_GT(error, 0);
    // Half a step of 1/8191 or 1/127 of the largest, or of 1/8 of each number, is 0.006%, 0.4% and
    // 6% at most; two layers of keys and values add up, and the softmax multiplies what keys lack.
    const bool wide = kv == KvFormat::kInt16;
    EXPECT_LT(std::sqrt(error / power), wide ? 6e-4 : kv == KvFormat::kInt8 ? 0.04 : 0.2);
    EXPECT_LT(decoder.cache_bytes(), plain.cache_bytes() / (wide ? 1.7 : 3));
  }
}

}  // namespace
}  // namespace mezzo
