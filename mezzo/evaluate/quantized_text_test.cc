#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/llm/job.h"
#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/base/files.h"
#include "mezzo/evaluate/perplexity.h"
#include "mezzo/import/llm/tiny_model_test.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

std::vector<Window> Windows(size_t count, size_t length) {
  std::vector<Window> windows(count);
  uint32_t state = 1;
  for (Window& w : windows)
    for (size_t i = 0; i < length; ++i)
      w.push_back(static_cast<int32_t>((state = state * 1664525 + 1013904223) >> 8) % 96);
  return windows;
}

class LlmJobTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "gpt2")
      TinyModel::WriteGpt2(path());
    else
      TinyModel::WriteLlama(path(), {{"model_type", GetParam()}});
  }
  fs::path path() const { return folder_.path() / "model"; }
  fs::path out(const char* name) const { return folder_.path() / name; }

  LlmJob Job(const char* codes = "nf4") const {
    LlmJob job;
    job.rounding.format = {FindCodebook(codes), 16, false, kE4M3FN};
    job.stored.format = job.rounding.format;
    job.windows = Windows(6, 32);
    job.threads = Threads(2);
    return job;
  }

  TemporaryFolder folder_;
};

// Parts of a block, run one after the other, make what it makes.
TEST_P(LlmJobTest, ABlockInPartsIsTheBlock) {
  const LanguageModel model = LanguageModel::Open(path());
  const Graph block = model.Block(1);
  const Tensor x = NormalTensor({9, 32}, 1);
  TensorMap values = BlockInputs(x);
  const Tensor want = Session(block, {}).Run(values)[0];
  const auto parts = CutBefore(block, LinearLayers(block));
  EXPECT_EQ(parts.size(), 5u);  // up to attention, its end, the feed-forward's two, the end
  for (const Graph& part : parts) {
    TensorMap inputs;
    for (const ValueInfo& in : part.inputs) inputs[in.name] = values.at(in.name);
    const auto made = Session(part, {}).Run(inputs);
    for (size_t i = 0; i < made.size(); ++i) values[part.outputs[i].name] = made[i];
  }
  const Tensor got = values.at("y");
  for (int64_t i = 0; i < want.numel(); ++i) EXPECT_EQ(got.data<float>()[i], want.data<float>()[i]);
}

TEST_P(LlmJobTest, WhatWasWrittenReadsBackAndIsNear) {
  const LanguageModel model = LanguageModel::Open(path());
  const auto outcomes = QuantizeLanguageModel(model, Job(), out("q/"));
  EXPECT_EQ(outcomes.size(), 2 * LinearLayers(model.Block(0)).size());
  for (const LayerOutcome& l : outcomes) EXPECT_LT(l.error, 0.02) << l.name;
  const LanguageModel quantized = LanguageModel::Open(out("q"));
  ASSERT_TRUE(quantized.config().quantization);
  const auto windows = Windows(3, 32);
  const FinalStates a = ReadText(quantized, windows, {}), b = ReadText(model, windows, {});
  const TextScore score = ScoreText(a, &b, windows, Threads(2));
  EXPECT_GT(score.divergence->kl.value, 0);
  EXPECT_LT(score.divergence->kl.value, 0.05);
  EXPECT_FALSE(fs::exists(out("q.part")));
  EXPECT_THROW(QuantizeLanguageModel(model, Job(), out("q")), UsageError);  // is there already
  EXPECT_THROW(QuantizeLanguageModel(quantized, Job(), out("r")), UsageError);
  LlmJob unfit = Job();
  unfit.rounding.format.group = unfit.stored.format.group = 48;
  EXPECT_THROW(QuantizeLanguageModel(model, unfit, out("r")), UsageError);
  EXPECT_FALSE(fs::exists(out("r.part")));
}

std::map<std::string, std::string> Contents(const fs::path& folder) {
  std::map<std::string, std::string> all;
  for (const auto& entry : fs::directory_iterator(folder))
    all[entry.path().filename()] = ReadFile(entry.path());
  return all;
}

TEST_P(LlmJobTest, AStoppedJobGoesOnToTheSameBytes) {
  const LanguageModel model = LanguageModel::Open(path());
  QuantizeLanguageModel(model, Job(), out("whole"));
  LlmJob job = Job();
  const size_t per_block = LinearLayers(model.Block(0)).size();
  size_t layers = 0;
  job.layer_done = [&](const LayerOutcome&) {
    if (++layers == per_block + 2) throw std::runtime_error("stopped");
  };
  EXPECT_THROW(QuantizeLanguageModel(model, job, out("stopped")), std::runtime_error);
  EXPECT_FALSE(fs::exists(out("stopped")));
  LlmJob other = Job("int4");
  EXPECT_THROW(QuantizeLanguageModel(model, other, out("stopped")), UsageError);
  job.layer_done = {};
  int64_t resumed = 0;
  job.resumed = [&](int64_t blocks) { resumed = blocks; };
  QuantizeLanguageModel(model, job, out("stopped"));
  EXPECT_EQ(resumed, 1);
  EXPECT_EQ(Contents(out("stopped")), Contents(out("whole")));
}

INSTANTIATE_TEST_SUITE_P(Families, LlmJobTest, testing::Values("llama", "qwen2", "gpt2"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace mezzo
