#include "mezzo/import/llm/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "mezzo/import/llm/tiny_model_test.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

std::string Refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& e) {
    return e.what();
  }
  return "nothing was refused";
}

TEST(LanguageModel, NamesWhatDoesNotFit) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "m";
  TinyModel::WriteLlama(path, {{"intermediate_size", 65}});
  EXPECT_NE(Refusal([&] {
              LanguageModel::Open(path).Block(0);
            }).find("'model.layers.0.mlp.gate_proj.weight': shape [64,32], needs [65,32]"),
            std::string::npos);
  TinyModel::WriteLlama(path, {{"num_hidden_layers", 3}});
  EXPECT_NE(Refusal([&] { LanguageModel::Open(path).Block(2); }).find("model.layers.2."),
            std::string::npos);
  TinyModel::WriteLlama(path, {{"tie_word_embeddings", false}});
  EXPECT_NE(Refusal([&] { LanguageModel::Open(path).Head(); }).find("lm_head.weight"),
            std::string::npos);
  EXPECT_NE(Refusal([&] { LanguageModel::Open(folder.path() / "none.txt"); }).find("none.txt"),
            std::string::npos);
}

TEST(LanguageModel, ScaledRotaryEmbeddings) {
  const auto rotary = [](const nlohmann::json& scaling, const char* field = "rope_scaling") {
    nlohmann::json c{{"model_type", "llama"},
                     {"vocab_size", 96},
                     {"hidden_size", 32},
                     {"intermediate_size", 64},
                     {"num_hidden_layers", 2},
                     {"num_attention_heads", 4},
                     {"max_position_embeddings", 64},
                     {"rms_norm_eps", 1e-5},
                     {"rope_theta", 10000.0},
                     {field, scaling}};
    return ParseHfConfig(c.dump(), "config.json").rotary;
  };
  const auto plain = rotary(nullptr), linear = rotary({{"type", "linear"}, {"factor", 4}});
  ASSERT_EQ(plain.size(), 4u);
  EXPECT_DOUBLE_EQ(plain[1], 0.1);
  for (size_t i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(linear[i], plain[i] / 4);
  // One object for all, as transformers 5 writes it.
  const auto one =
      rotary({{"rope_type", "linear"}, {"rope_theta", 81.0}, {"factor", 2}}, "rope_parameters");
  EXPECT_DOUBLE_EQ(one[2], 1.0 / 9 / 2);
  EXPECT_THROW(rotary({{"partial_rotary_factor", 0.5}}, "rope_parameters"), FileError);
  // llama3: pairs that turn often stay, those that turn rarely slow down by the factor.
  const auto llama3 = rotary({{"rope_type", "llama3"},
                              {"factor", 8},
                              {"low_freq_factor", 1},
                              {"high_freq_factor", 4},
                              {"original_max_position_embeddings", 100}});
  EXPECT_DOUBLE_EQ(llama3[0], plain[0]);                      // 16 turns in 100 positions
  EXPECT_DOUBLE_EQ(llama3[3], plain[3] / 8);                  // 0.016
  const double fast = (100 * plain[1] / (2 * M_PI) - 1) / 3;  // 1.6 turns: between
  EXPECT_NEAR(llama3[1], (1 - fast) * plain[1] / 8 + fast * plain[1], 1e-12);
}

}  // namespace
}  // namespace mezzo
