#include <gtest/gtest.h>

#include <cmath>

#include "mezzo/algorithm/llm/job.h"
#include "mezzo/algorithm/llm/sequential.h"
#include "mezzo/algorithm/recovery/low_rank_fit.h"
#include "mezzo/algorithm/sensitivity/rankings.h"
#include "mezzo/base/cpu.h"
#include "mezzo/base/files.h"
#include "mezzo/evaluate/perplexity.h"
#include "mezzo/import/llm/adapters.h"
#include "mezzo/import/llm/tiny_model_test.h"
#include "mezzo/runtime/ops/one_op_test.h"
#include "mezzo/tensor/arithmetic.h"

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

TEST_P(LlmJobTest, ARotatedModelIsQuantizedIntoAFolderOfItsOwnBasis) {
  const LanguageModel model = LanguageModel::Open(path());
  if (model.gpt2()) return;
  LlmJob job = Job();
  job.layer_done = [](const LayerOutcome&) { throw std::runtime_error("stopped"); };
  job.stored.activations = "int8";
  EXPECT_THROW(QuantizeLanguageModel(model.Rotated(), job, out("q")), std::runtime_error);
  job.layer_done = {};
  if (fs::exists(out("q.part"))) {  // another job: of the same model, not rotated
    EXPECT_THROW(QuantizeLanguageModel(model, job, out("q")), UsageError);
  }
  QuantizeLanguageModel(model.Rotated(), job, out("q"));
  const LanguageModel quantized = LanguageModel::Open(out("q"));
  EXPECT_FALSE(quantized.config().tied);
  EXPECT_TRUE(ReadLlmPlan(out("q") / "plan.json").rotated);
  EXPECT_THROW(quantized.Rotated(), UsageError);
  const auto windows = Windows(3, 32);
  const FinalStates a = ReadText(quantized, windows, {}), b = ReadText(model, windows, {});
  EXPECT_LT(ScoreText(a, &b, windows, Threads(2)).divergence->kl.value, 0.05);
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
  const fs::path config = path() / "config.json";  // the model is another one meanwhile
  const auto written = fs::last_write_time(config);
  fs::last_write_time(config, written + std::chrono::hours(1));
  EXPECT_THROW(QuantizeLanguageModel(model, job, out("stopped")), UsageError);
  fs::last_write_time(config, written);
  int64_t resumed = 0;
  job.resumed = [&](int64_t blocks) { resumed = blocks; };
  QuantizeLanguageModel(model, job, out("stopped"));
  EXPECT_EQ(resumed, 1);
  EXPECT_EQ(Contents(out("stopped")), Contents(out("whole")));
}

// Layers in the precisions of a plan; a folder put together from four-bit codes is the same where
// the layers before do not enter.
TEST_P(LlmJobTest, LayersHaveThePrecisionsAskedFor) {
  const LanguageModel model = LanguageModel::Open(path());
  const std::vector<std::string> layers = LinearLayers(model.Block(1));
  LlmJob job = Job();
  job.rounding.correct = false;  // codes then do not depend on what layers read
  job.rounding.search = false;
  QuantizeLanguageModel(model, job, out("four"));
  job.precisions = {{layers[0], LlmPrecision::kInt8}, {layers[1], LlmPrecision::kFloat}};
  QuantizeLanguageModel(model, job, out("mixed"));
  ComposeLanguageModel(model, LanguageModel::Open(out("four")), job.precisions, {},
                       out("composed"));
  auto mixed = Contents(out("mixed"));
  const LlmPlan plan = LlmPlanFromJson(mixed.at("plan.json"), "plan");
  EXPECT_EQ(plan.precisions.at(layers[0]), LlmPrecision::kInt8);
  EXPECT_EQ(plan.precisions.at(layers[1]), LlmPrecision::kFloat);
  EXPECT_EQ(plan.precisions.at(layers[2]), LlmPrecision::kFourBits);
  EXPECT_EQ(ToJson(plan), mixed.at("plan.json"));
  mixed.erase("plan.json");
  const auto composed = Contents(out("composed"));
  ASSERT_EQ(composed.size(), mixed.size());
  for (const auto& [file, bytes] : composed) EXPECT_TRUE(mixed.at(file) == bytes) << file;
  const LanguageModel read = LanguageModel::Open(out("mixed"));
  const auto weight = [&](const LanguageModel& m, const std::string& layer) {
    return m.Block(1).initializers.at(layer + ".weight");
  };
  EXPECT_TRUE(SameBits(weight(read, layers[1]), weight(model, layers[1])));
  EXPECT_TRUE(SameBits(weight(read, layers[0]), RoundRows(weight(model, layers[0])).Dequantize()));
  EXPECT_THROW(ComposeLanguageModel(model, model, {}, {}, out("nothing")), UsageError);
  EXPECT_FALSE(fs::exists(out("nothing")));
}

// One layer's path, found at its rank and cut down from a higher one.
TEST_P(LlmJobTest, SingleLayersHavePaths) {
  const LanguageModel model = LanguageModel::Open(path());
  const std::string layer = LinearLayers(model.Block(0))[0];
  const LlmRanks ranks{{layer, 2}};
  LlmJob job = Job();
  job.recovery = {4, {}, 0};
  QuantizeLanguageModel(model, job, out("all"));
  job.recovery = {0, ranks, 0};
  QuantizeLanguageModel(model, job, out("one"));
  EXPECT_EQ(LlmPlanFromJson(Contents(out("one")).at("plan.json"), "plan").ranks, ranks);
  ComposeLanguageModel(model, LanguageModel::Open(out("all")), {}, ranks, out("composed"));
  const LowRanks found = ReadAdapters(out("one")), cut = ReadAdapters(out("composed"));
  ASSERT_EQ(found.size(), 1U);
  ASSERT_EQ(cut.size(), 1U);
  EXPECT_EQ(cut.at(layer).rank(), 2);
  const Tensor a = Product(found.at(layer), {}), b = Product(cut.at(layer), {});
  EXPECT_LT(SquaredNorm(Difference(a, b)), 0.01 * SquaredNorm(a));
}

// Paths take up part of the noise, training part of the divergence, and a job that was stopped in
// either comes to the same bytes.
TEST_P(LlmJobTest, PathsRecoverAndTrain) {
  const LanguageModel model = LanguageModel::Open(path());
  const auto noise = [&](const LlmJob& job, const char* name) {
    double sum = 0;
    for (const LayerOutcome& l : QuantizeLanguageModel(model, job, out(name))) sum += l.error;
    return sum;
  };
  LlmJob job = Job();
  const double without = noise(job, "without");
  job.recovery.rank = 4;
  job.recovery.alternations = 0;
  const double once = noise(job, "once");
  job.recovery.alternations = 2;
  const double thrice = noise(job, "thrice");
  EXPECT_LT(once, 0.8 * without);
  EXPECT_LT(thrice, once);

  TextTraining& t = job.recovery.training;
  t.windows = t.held_out = Windows(10, 32);
  t.epochs = 4;
  t.rate = 0.05;
  std::vector<double> losses;
  t.epoch_done = [&](size_t, double loss) { losses.push_back(loss); };
  noise(job, "trained");
  ASSERT_GE(losses.size(), 2u);
  const double best = *std::min_element(losses.begin(), losses.end());
  EXPECT_LT(best, 0.95 * losses[0]);
  // The file holds the best: its divergence is what was told.
  const LanguageModel trained = LanguageModel::Open(out("trained"));
  TextTraining none = t;
  none.epochs = 0;
  none.epoch_done = [&](size_t, double loss) { EXPECT_NEAR(loss, best, 0.01 * best); };
  TrainPaths(model, trained, none);

  size_t windows = 0;
  t.step = [&] {
    if (++windows == t.windows.size() * 2 - 1) throw std::runtime_error("stopped");
  };
  EXPECT_THROW(noise(job, "stopped"), std::runtime_error);
  EXPECT_FALSE(fs::exists(out("stopped")));
  t.step = {};
  losses.clear();
  noise(job, "stopped");
  EXPECT_LE(losses.size(), 3u);  // the first epoch was not run again
  const auto whole = Contents(out("trained")), resumed = Contents(out("stopped"));
  ASSERT_EQ(whole.size(), resumed.size());
  for (const auto& [file, bytes] : whole)
    EXPECT_TRUE(file == "adapter_config.json" || resumed.at(file) == bytes)
        << file;  // has the name
}

TEST(LlmPlan, RefusesWhatItDoesNotKnow) {
  LlmPlan plan;
  plan.layers = {{"a", 0.25, 0}};
  const std::string good = ToJson(plan);
  EXPECT_EQ(ToJson(LlmPlanFromJson(good, "p")), good);
  const auto refused = [&](const std::string& from, const std::string& to) {
    std::string bad = good;
    bad.replace(bad.find(from), from.size(), to);
    EXPECT_THROW(LlmPlanFromJson(bad, "p"), FileError) << to;
  };
  refused("4bit", "5bit");
  refused("\"mezzo_llm_plan\": 1", "\"mezzo_llm_plan\": 2");
  refused("float_head", "floathead");
  refused("\"layer\"", "\"name\"");
  refused("\"error\"", "\"recovery_rank\": 0, \"error\"");
  refused("int4", "nf9");
  refused("\"layers\": [", "\"layers\": [{\"layer\": \"a\", \"precision\": \"int8\"},");
  EXPECT_THROW(LlmPlanFromJson("{", "p"), FileError);
}

Tensor DecodedLogits(const LanguageModel& model, int64_t step, size_t threads) {
  const Window tokens = Windows(1, 40)[0];
  Decoder decoder(model, {.threads = Threads(threads)});
  Tensor all(DType::kFloat32, {40, 96});
  for (int64_t t = 0; t < 40; t += step) {
    const auto n = std::min<int64_t>(step, 40 - t);
    const Tensor part = decoder.Logits(decoder.Read(std::span(tokens).subspan(t, n)));
    std::copy_n(part.data<float>(), part.numel(), all.data<float>() + t * 96);
  }
  return all;
}

// Products of integers are the same however they are run; what they stand for is what the graphs
// compute in float.
TEST_P(LlmJobTest, IntegersRunAsTheyWereSimulated) {
  const LanguageModel model = LanguageModel::Open(path());
  LlmJob job = Job("nf4i");
  job.rounding.format.fp8 = job.stored.format.fp8 = std::nullopt;
  job.stored.activations = "int8";
  job.stored.activation_group = 32;
  for (const bool float_head : {false, true}) {
    job.float_head = float_head;
    job.rounding.format.double_quant = job.stored.format.double_quant = !float_head;
    const char* name = float_head ? "kept" : "coded";
    QuantizeLanguageModel(model, job, out(name));
    const LanguageModel quantized = LanguageModel::Open(out(name));
    const Tensor got = DecodedLogits(quantized, 40, 1);
    for (const int64_t step : {1, 3, 7}) {
      const Tensor same = DecodedLogits(quantized, step, 2);
      for (int64_t i = 0; i < got.numel(); ++i)
        ASSERT_EQ(got.data<float>()[i], same.data<float>()[i]) << step << "," << i;
    }
    {
      const ScopedIsa plain(Isa::kPlain);
      const Tensor same = DecodedLogits(quantized, 40, 1);
      for (int64_t i = 0; i < got.numel(); ++i)
        ASSERT_EQ(got.data<float>()[i], same.data<float>()[i]) << i;
    }
    const FinalStates simulated{RunBlocks(quantized, Windows(1, 40), {}),
                                GraphHead(quantized.Head())};
    const Tensor want = simulated.head(simulated.hidden[0]);
    double error = 0, power = 0;
    for (int64_t i = 0; i < got.numel(); ++i) {
      error += std::pow(got.data<float>()[i] - want.data<float>()[i], 2);
      power += std::pow(want.data<float>()[i], 2);
    }
    // Float sums differ in the last place, and an activation at the middle between two codes may
    // take the other one: a hundredth of its size.
    EXPECT_LT(std::sqrt(error / power), 2e-3);
  }
}

// What layers are calibrated on is what the decoder will give them.
TEST_P(LlmJobTest, LayersSeeWhatTheDecoderMakes) {
  const LanguageModel model = LanguageModel::Open(path());
  for (const char* activations : {"float", "fp8", "int8"}) {
    LlmJob job = Job("nf4i");
    job.stored.activations = activations;
    job.precisions = {{LinearLayers(model.Block(0))[0], LlmPrecision::kInt8},
                      {LinearLayers(model.Block(1))[1], LlmPrecision::kFloat}};
    if (job.stored.activations == "int8") job.rounding.format.fp8 = job.stored.format.fp8 = {};
    job.recovery.ranks = {{LinearLayers(model.Block(1))[0], 2}};
    QuantizeLanguageModel(model, job, out(activations));
    const LanguageModel quantized = LanguageModel::Open(out(activations));
    const auto windows = Windows(2, 40);
    std::vector<Tensor> last;
    const auto read = [&](const Node& layer, const Tensor& weight, const Hessian&) {
      QuantizedLinear made{weight, {}};
      if (auto codes =
              ReadCodes(quantized.checkpoint(), layer.name, job.stored.format, weight.shape()))
        made.matrix = *std::move(codes);
      if (const auto path = quantized.paths().find(layer.name); path != quantized.paths().end())
        made.path = path->second;
      return made;
    };
    QuantizeBlocks(model, 0, EmbedWindows(quantized, windows, {}), job.stored, Threads(2),
                   {read, [&](int64_t, const Graph&, const std::vector<Tensor>& x) { last = x; }});
    for (size_t i = 0; i < windows.size(); ++i) {
      Decoder decoder(quantized, {});
      EXPECT_TRUE(SameBits(decoder.Read(windows[i]), last[i])) << activations;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LlmJobTest, testing::Values("llama", "qwen2", "gpt2"),
                         [](const auto& p) { return std::string(p.param); });

}  // namespace
}  // namespace mezzo
