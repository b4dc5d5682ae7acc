#include "mezzo/import/llm/adapters.h"

#include <gtest/gtest.h>

#include "mezzo/base/files.h"
#include "mezzo/import/llm/tiny_model_test.h"
#include "mezzo/runtime/decoder/decoder.h"
#include "mezzo/runtime/language.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

LowRank Path(int64_t outputs, int64_t rank, int64_t inputs, unsigned seed) {
  LowRank path{NormalTensor({rank, inputs}, seed), NormalTensor({outputs, rank}, seed + 1)};
  for (float& v : path.a.span<float>()) v *= 0.1f;
  return RoundToBFloat16(path);
}

class AdaptersTest : public testing::Test {
 protected:
  void SetUp() override { TinyModel::WriteLlama(model_); }
  void Replace(const std::string& from, const std::string& to) const {
    std::string text = ReadFile(model_ / "adapter_config.json");
    ASSERT_NE(text.find(from), std::string::npos);
    text.replace(text.find(from), from.size(), to);
    WriteFile(model_ / "adapter_config.json", text);
  }
  static std::string Name(int layer, const char* module) {
    return Cat("model.layers.", layer, ".", module);
  }
  LowRanks Some() const {
    return {{Name(0, "self_attn.q_proj"), Path(32, 3, 32, 10)},
            {Name(0, "self_attn.v_proj"), Path(16, 2, 32, 20)},
            {Name(1, "mlp.down_proj"), Path(32, 5, 64, 30)}};
  }
  TemporaryFolder folder_;
  const fs::path model_ = folder_.path() / "model";
};

TEST_F(AdaptersTest, ReadBackAsWritten) {
  WriteAdapters(model_, Some(), "base", false);
  const LowRanks read = ReadAdapters(model_), want = Some();
  ASSERT_EQ(read.size(), want.size());
  for (const auto& [layer, path] : want) {
    const LowRank& got = read.at(layer);
    ASSERT_EQ(got.rank(), path.rank());
    for (int64_t i = 0; i < path.a.numel(); ++i)
      EXPECT_EQ(got.a.data<float>()[i], path.a.data<float>()[i]);
    for (int64_t i = 0; i < path.b.numel(); ++i)
      EXPECT_EQ(got.b.data<float>()[i], path.b.data<float>()[i]);
  }
}

// What the graphs make is the model with B A added to its weights, and the decoder gives their
// bits.
TEST_F(AdaptersTest, RunInGraphsAndInTheDecoder) {
  const LanguageModel plain = LanguageModel::Open(model_);
  WriteAdapters(model_, Some(), "base", false);
  const LanguageModel model = LanguageModel::Open(model_);
  const Window tokens{5, 17, 80, 3, 3, 41, 9};
  std::vector<Tensor> x = EmbedWindows(plain, {tokens}, {});
  for (int64_t b = 0; b < 2; ++b) {
    Graph merged = plain.Block(b);
    for (const auto& [layer, path] : Some()) {
      const auto it = merged.initializers.find(layer + ".weight");
      if (it == merged.initializers.end()) continue;
      Tensor w = it->second.Clone();
      const int64_t in = w.dim(1), r = path.rank();
      for (int64_t i = 0; i < w.numel(); ++i)
        for (int64_t k = 0; k < r; ++k)
          w.data<float>()[i] +=
              path.b.data<float>()[i / in * r + k] * path.a.data<float>()[k * in + i % in];
      it->second = w;
    }
    x[0] = Session(merged, {}).Run(BlockInputs(x[0]))[0];
  }
  const Tensor got = RunBlocks(model, {tokens}, {})[0];
  const Tensor before = RunBlocks(plain, {tokens}, {})[0];
  double moved = 0;
  for (int64_t i = 0; i < got.numel(); ++i) {
    EXPECT_NEAR(got.data<float>()[i], x[0].data<float>()[i], 1e-4);
    moved += std::abs(got.data<float>()[i] - before.data<float>()[i]);
  }
  EXPECT_GT(moved, 1);
  const Tensor want = Session(model.Head(), {}).Run({{"x", got}})[0];
  for (const size_t step : {7, 1, 3}) {
    Decoder decoder(model, {.threads = Threads(step == 3 ? 3 : 1)});
    for (size_t t = 0; t < tokens.size(); t += step) {
      const size_t n = std::min(step, tokens.size() - t);
      const Tensor logits = decoder.Logits(decoder.Read(std::span(tokens).subspan(t, n)));
      for (int64_t i = 0; i < logits.numel(); ++i)
        ASSERT_EQ(logits.data<float>()[i], want.data<float>()[t * 96 + i]) << step << "," << t;
    }
  }
}

TEST_F(AdaptersTest, TakesPeftsFactorsAlong) {
  WriteAdapters(model_, {{Name(0, "self_attn.q_proj"), Path(32, 4, 32, 10)}}, "base", false);
  Replace("\"lora_alpha\": 4", "\"lora_alpha\": 2");
  Replace(Cat("\"", Name(0, "self_attn.q_proj"), "\": 4"), "\"other\": 4");  // of the ranks
  Replace(Cat("\"", Name(0, "self_attn.q_proj"), "\": 4"), "\"other\": 4");
  const LowRank got = ReadAdapters(model_).begin()->second, want = Path(32, 4, 32, 10);
  for (int64_t i = 0; i < want.b.numel(); ++i)
    EXPECT_EQ(got.b.data<float>()[i], 0.5f * want.b.data<float>()[i]);
}

TEST_F(AdaptersTest, RefusesWhatItDoesNotKnow) {
  const auto refused = [&](const char* what) {
    EXPECT_THROW(LanguageModel::Open(model_).Block(0), FileError) << what;
  };
  const auto write = [&](const LowRanks& paths) { WriteAdapters(model_, paths, "base", false); };
  write({{"model.layers.7.mlp.up_proj", Path(64, 2, 32, 1)}});
  refused("a layer that the model has not");
  write({{Name(0, "self_attn.q_proj"), Path(32, 2, 16, 1)}});
  refused("another shape");
  LowRank unequal = Path(32, 2, 32, 1);
  unequal.b = NormalTensor({32, 3}, 1);
  write({{Name(0, "self_attn.q_proj"), unequal}});
  refused("ranks that differ");
  write(Some());
  Replace("LORA", "IA3");
  refused("another kind");
  write(Some());
  Replace("\"bias\": \"none\"", "\"use_dora\": true");
  refused("DoRA");
  write(Some());
  WriteFile(model_ / "adapter_config.json", "{");
  refused("no JSON");
  write(Some());
  fs::remove(model_ / "adapter_model.safetensors");
  refused("no matrices");
}

}  // namespace
}  // namespace mezzo
