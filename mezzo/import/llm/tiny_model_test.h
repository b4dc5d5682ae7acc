// For tests: small language models with random weights, written as Hugging Face folders.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "mezzo/base/files.h"
#include "mezzo/checkpoint/safetensors.h"
#include "mezzo/tensor/normal_test.h"

namespace mezzo {

class TinyModel {
 public:
  // `config` is merged over that of a Llama of two layers.
  static void WriteLlama(const std::filesystem::path& folder,
                         const nlohmann::json& config = nlohmann::json::object()) {
    nlohmann::json c{{"model_type", "llama"},       {"vocab_size", 96},
                     {"hidden_size", 32},           {"intermediate_size", 64},
                     {"num_hidden_layers", 2},      {"num_attention_heads", 4},
                     {"num_key_value_heads", 2},    {"max_position_embeddings", 64},
                     {"rms_norm_eps", 1e-5},        {"rope_theta", 10000.0},
                     {"tie_word_embeddings", true}, {"hidden_act", "silu"}};
    c.merge_patch(config);
    TinyModel m;
    m.Add("model.embed_tokens.weight", {96, 32}, 1);
    for (int i = 0; i < 2; ++i) {
      const std::string layer = Cat("model.layers.", i, ".");
      m.Add(layer + "input_layernorm.weight", {32}, 1, 1);
      m.Add(layer + "self_attn.q_proj.weight", {32, 32}, 0.4f);
      m.Add(layer + "self_attn.k_proj.weight", {16, 32}, 0.4f);
      m.Add(layer + "self_attn.v_proj.weight", {16, 32}, 0.4f);
      if (c["model_type"] == "qwen2" || c.value("attention_bias", false))
        for (const char* p : {"q", "k", "v"})
          m.Add(layer + "self_attn." + p + "_proj.bias", {*p == 'q' ? 32 : 16}, 0.5f);
      m.Add(layer + "self_attn.o_proj.weight", {32, 32}, 0.2f);
      m.Add(layer + "post_attention_layernorm.weight", {32}, 1, 1);
      m.Add(layer + "mlp.gate_proj.weight", {64, 32}, 0.3f);
      m.Add(layer + "mlp.up_proj.weight", {64, 32}, 0.3f);
      m.Add(layer + "mlp.down_proj.weight", {32, 64}, 0.2f);
    }
    m.Add("model.norm.weight", {32}, 1, 0.1f);  // small logits
    m.Write(folder, c);
  }

  static void WriteGpt2(const std::filesystem::path& folder) {
    TinyModel m;
    m.Add("transformer.wte.weight", {96, 32}, 0.3f);
    m.Add("transformer.wpe.weight", {64, 32}, 0.1f);
    const auto both = [&](const std::string& name, const Shape& w, float scale) {
      m.Add(name + ".weight", w, scale, w.size() == 1);
      m.Add(name + ".bias", {w.back()}, 0.1f);
    };
    for (int i = 0; i < 2; ++i) {
      const std::string layer = Cat("transformer.h.", i, ".");
      both(layer + "ln_1", {32}, 0.1f);
      both(layer + "attn.c_attn", {32, 96}, 0.3f);
      both(layer + "attn.c_proj", {32, 32}, 0.2f);
      both(layer + "ln_2", {32}, 0.1f);
      both(layer + "mlp.c_fc", {32, 128}, 0.3f);
      both(layer + "mlp.c_proj", {128, 32}, 0.2f);
    }
    m.Add("transformer.ln_f.weight", {32}, 1, 0.3f);
    m.Add("transformer.ln_f.bias", {32}, 0.1f);
    m.Write(folder, {{"model_type", "gpt2"},
                     {"vocab_size", 96},
                     {"n_layer", 2},
                     {"n_embd", 32},
                     {"n_head", 4},
                     {"n_positions", 64},
                     {"layer_norm_epsilon", 1e-5}});
  }

 private:
  void Add(const std::string& name, const Shape& shape, float scale, float mean = 0) {
    std::vector<float> v = NormalValues(NumElements(shape), static_cast<unsigned>(specs_.size()));
    for (float& x : v) x = mean + (mean != 0 ? 0.1f * mean : 1.0f) * scale * x;
    specs_.push_back({name, Storage::kF32, shape});
    values_.push_back(std::move(v));
  }
  void Write(const std::filesystem::path& folder, const nlohmann::json& config) const {
    std::filesystem::create_directories(folder);
    WriteFile(folder / "config.json", config.dump());
    CheckpointWriter writer = WriteSafetensors(folder / "model.safetensors", specs_);
    for (size_t i = 0; i < specs_.size(); ++i)
      writer.Add(specs_[i].name, values_[i].data(), values_[i].size() * sizeof(float));
    writer.Commit();
  }

  std::vector<TensorSpec> specs_;
  std::vector<std::vector<float>> values_;
};

}  // namespace mezzo
