#include "mezzo/evaluate/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "mezzo/base/files.h"
#include "mezzo/import/llm/tiny_model_test.h"
#include "mezzo/import/tokenizer/tokenizer.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

TEST(CutWindows, WholeWindowsThatBeginAsTextsDo) {
  const std::vector<int32_t> tokens{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(CutWindows(tokens, 4, 0, {}), (std::vector<Window>{{1, 2, 3, 4}, {5, 6, 7, 8}}));
  EXPECT_EQ(CutWindows(tokens, 4, 1, 99), (std::vector<Window>{{99, 2, 3, 4}}));
  EXPECT_THROW(CutWindows(tokens, 11, 0, {}), UsageError);
  EXPECT_THROW(CutWindows(tokens, 3, 0, {}), UsageError);
}

// States that are the logits already.
FinalStates States(const std::vector<std::vector<float>>& logits) {
  const auto n = static_cast<int64_t>(logits[0].size());
  Tensor x(DType::kFloat32, {static_cast<int64_t>(logits.size()), n});
  for (size_t i = 0; i < logits.size(); ++i)
    std::copy(logits[i].begin(), logits[i].end(), x.data<float>() + static_cast<int64_t>(i) * n);
  return {{x}, [](const Tensor& rows) { return rows; }};
}

TEST(ScoreText, KnownDistributions) {
  const float l2 = std::log(2.0f), l3 = std::log(3.0f);
  const Window window{0, 1, 2, 0, 1, 2};
  const std::vector<float> even{0, 0, 0, 0};
  const FinalStates p = States({even, even, even, {l2, 0, 0, 0}, {0, l3, 0, 0}, even});
  const FinalStates q = States({even, even, even, even, even, even});
  const TextScore same = ScoreText(q, &q, {window}, Threads(2));
  EXPECT_EQ(same.tokens, 2u);  // positions 3 and 4 predict 4 and 5
  EXPECT_NEAR(same.perplexity.value, 4, 1e-5);
  EXPECT_NEAR(same.divergence->kl.value, 0, 1e-9);
  const TextScore score = ScoreText(q, &p, {window}, {});
  // p at 3: (2, 1, 1, 1) / 5, at 4: (1, 3, 1, 1) / 6, against a quarter each
  const double kl3 = 0.4 * std::log(1.6) + 0.6 * std::log(0.8),
               kl4 = 0.5 * std::log(2.0) + 0.5 * std::log(4.0 / 6);
  EXPECT_NEAR(score.divergence->kl.value, (kl3 + kl4) / 2, 1e-6);
  EXPECT_NEAR(score.divergence->max, std::max(kl3, kl4), 1e-6);
  EXPECT_NEAR(score.divergence->kl.error, std::fabs(kl3 - kl4) / 2, 1e-6);
  // The reference gives the tokens that follow, 1 and 2, a fifth and a sixth.
  EXPECT_NEAR(score.divergence->perplexity_ratio.value, 4 / std::sqrt(30.0), 1e-5);
  EXPECT_NEAR(score.divergence->same_top.value, 0.5, 1e-9);
  EXPECT_THROW(ScoreText(q, nullptr, {}, {}), UsageError);
}

// llama.cpp gives 6.026 with -c 128 on the whole sample; here its first hundred windows, from both
// forms of the model.
TEST(ScoreText, StoriesByTheirOwnModel) {
  const char* root = std::getenv("MEZZO_SHARED_DATA");
  const fs::path folder = fs::path(root ? root : "") / "llm" / "stories260K";
  if (!root || !fs::exists(folder))
    GTEST_SKIP() << "MEZZO_SHARED_DATA does not name a folder with llm/stories260K";
  const fs::path gguf = folder / "stories260K-f32.gguf";
  const Tokenizer tokenizer = ReadTokenizer(gguf);
  const auto tokens =
      tokenizer.Encode(ReadFile(fs::path(root) / "text" / "tinystories-sample.txt"), true);
  EXPECT_EQ(tokens[0], tokenizer.bos());
  const auto windows = CutWindows(tokens, 128, 0, tokenizer.bos());
  const LanguageModel model = LanguageModel::Open(gguf), hf = LanguageModel::Open(folder / "hf");
  const Threads threads(2);
  const FinalStates a = ReadText(model, windows, {threads}), b = ReadText(hf, windows, {threads});
  const TextScore score = ScoreText(a, &b, windows, threads);
  EXPECT_NEAR(score.perplexity.value, 6.026, 0.001);
  EXPECT_LT(score.divergence->kl.value, 1e-6);
  // The decoder makes of them what the graphs do, token by token too.
  Decoder decoder(model, {.context = 128, .threads = threads});
  const Tensor whole = decoder.Read(windows[0]);
  for (int64_t i = 0; i < whole.numel(); ++i)
    ASSERT_EQ(whole.data<float>()[i], a.hidden[0].data<float>()[i]) << i;
  decoder.Rewind(0);
  for (int64_t t = 0; t < 128; ++t) {
    const Tensor row = decoder.Read(std::span(windows[0]).subspan(t, 1));
    for (int64_t i = 0; i < row.numel(); ++i)
      ASSERT_EQ(row.data<float>()[i], whole.data<float>()[t * row.numel() + i]) << t << "," << i;
  }
}

}  // namespace
}  // namespace mezzo
