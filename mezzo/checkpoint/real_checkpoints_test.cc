// One real model as GGUF and as a Hugging Face folder: every tensor must read as the same floats.
// Needs MEZZO_SHARED_DATA.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "mezzo/checkpoint/gguf.h"
#include "mezzo/checkpoint/llama2c.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/checkpoint/testing.h"

namespace mezzo {
namespace {

namespace fs = std::filesystem;

class RealCheckpoint : public testing::Test {
 protected:
  void SetUp() override {
    const char* root = std::getenv("MEZZO_SHARED_DATA");
    folder_ = fs::path(root ? root : "") / "llm" / "stories260K";
    if (!root || !fs::exists(folder_))
      GTEST_SKIP() << "MEZZO_SHARED_DATA does not name a folder with llm/stories260K";
  }
  fs::path folder_;
};

// What llama.cpp calls a tensor and what Hugging Face does.
std::string HuggingFaceName(const std::string& name) {
  const std::map<std::string, std::string> outer{{"token_embd.weight", "model.embed_tokens.weight"},
                                                 {"output_norm.weight", "model.norm.weight"},
                                                 {"output.weight", "lm_head.weight"}};
  const std::map<std::string, std::string> inner{
      {"attn_norm", "input_layernorm"}, {"ffn_norm", "post_attention_layernorm"},
      {"attn_q", "self_attn.q_proj"},   {"attn_k", "self_attn.k_proj"},
      {"attn_v", "self_attn.v_proj"},   {"attn_output", "self_attn.o_proj"},
      {"ffn_gate", "mlp.gate_proj"},    {"ffn_up", "mlp.up_proj"},
      {"ffn_down", "mlp.down_proj"}};
  if (const auto it = outer.find(name); it != outer.end()) return it->second;
  const size_t layer = name.find('.') + 1, part = name.find('.', layer) + 1;
  const std::string kind = name.substr(part, name.rfind('.') - part);
  return "model.layers." + name.substr(layer, part - layer) + inner.at(kind) + ".weight";
}

// GGUF puts the two halves of a head, which the rotary embedding turns, row by row side by side.
Tensor SideBySide(const Tensor& t, int64_t heads) {
  Tensor out = t.Clone();
  const int64_t row = t.dim(1), half = t.dim(0) / heads / 2;
  for (int64_t r = 0; r < t.dim(0); ++r) {
    const int64_t head = r / (2 * half), at = r % (2 * half);
    const int64_t to = head * 2 * half + at % half * 2 + at / half;
    std::copy_n(t.data<float>() + r * row, row, out.data<float>() + to * row);
  }
  return out;
}

TEST_F(RealCheckpoint, GgufAndSafetensorsHoldTheSameFloats) {
  const Gguf gguf = ReadGguf(folder_ / "stories260K-f32.gguf");
  const Safetensors hf = ReadSafetensors(folder_ / "hf");
  for (const auto& [name, tensor] : gguf.tensors) {
    std::string other = HuggingFaceName(name);
    if (!hf.tensors.contains(other)) other = "model.embed_tokens.weight";  // a shared classifier
    Tensor want = hf.At(other).Read();
    if (name.find("attn_q") != name.npos)
      want = SideBySide(want, gguf.Int("llama.attention.head_count"));
    if (name.find("attn_k") != name.npos)
      want = SideBySide(want, gguf.Int("llama.attention.head_count_kv"));
    EXPECT_TRUE(SameFloats(tensor.Read(), want)) << tensor.where;
  }
  EXPECT_EQ(hf.tensors.size(), 9u * static_cast<size_t>(gguf.Int("llama.block_count")) + 2);
  EXPECT_GE(gguf.tensors.size(), hf.tensors.size());
}

TEST_F(RealCheckpoint, TheTokenizerHoldsTheScoresOfTheVocabulary) {
  const auto tokens = ReadLlama2cTokenizer(folder_ / "tokenizer.bin");
  const auto scores = nlohmann::json::parse(ReadFile(folder_ / "hf" / "sp_vocab_scores.json"));
  ASSERT_EQ(tokens.size(), scores.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    EXPECT_EQ(tokens[i].text, scores[i][0].get<std::string>()) << i;
    EXPECT_EQ(tokens[i].score, scores[i][1].get<float>()) << i;
  }
}

}  // namespace
}  // namespace mezzo
