// What goes beside the weights into a model's folder.
#include <nlohmann/json.hpp>

#include "mezzo/base/files.h"
#include "mezzo/import/llm/model.h"
#include "mezzo/import/tokenizer/token_table.h"

namespace mezzo {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json LanguageModel::HfConfig() const {
  const LlmConfig& c = config_;
  if (names_ == Names::kHuggingFace) {
    Json json = Json::parse(ReadFile(source_ / "config.json", uint64_t{1} << 24));
    if (rotated()) json["tie_word_embeddings"] = c.tied;
    return json;
  }
  Json json{{"model_type", c.architecture}, {"vocab_size", c.vocabulary}};
  if (c.architecture == "gpt2") {
    json["n_layer"] = c.layers;
    json["n_embd"] = c.hidden;
    json["n_head"] = c.heads;
    json["n_positions"] = c.context;
    json["n_inner"] = c.feed_forward;
    json["layer_norm_epsilon"] = c.norm_epsilon;
  } else {
    RequireFile(c.plain_rotary, source_.string(), ": its scaled rotary embeddings cannot be said ",
                "in a config.json; start from the Hugging Face folder");
    json["num_hidden_layers"] = c.layers;
    json["hidden_size"] = c.hidden;
    json["intermediate_size"] = c.feed_forward;
    json["num_attention_heads"] = c.heads;
    json["num_key_value_heads"] = c.kv_heads;
    json["head_dim"] = c.head_size;
    json["max_position_embeddings"] = c.context;
    json["rms_norm_eps"] = c.norm_epsilon;
    json["rope_theta"] = c.rope_theta;
    json["hidden_act"] = "silu";
  }
  json["tie_word_embeddings"] = c.tied;
  return json;
}

fs::path LanguageModel::TokenizerPath(const fs::path& model) {
  return model.extension() == ".bin" ? model.parent_path() / "tokenizer.bin" : model;
}

void LanguageModel::CopyTokenizer(const fs::path& folder) const {
  if (names_ == Names::kGguf) {
    const auto& file = static_cast<const Gguf&>(*checkpoint_);
    GgufMetadata kept = TokenizerMetadata(file);
    kept.push_back({"general.architecture", file.Get<std::string>("general.architecture")});
    WriteGguf(folder / "tokenizer.gguf", {}, kept).Commit();
    return;
  }
  const fs::path from = names_ == Names::kHuggingFace ? source_ : source_.parent_path();
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "tokenizer.model",
                           "tokenizer.bin", "special_tokens_map.json", "generation_config.json"})
    if (fs::exists(from / name)) WriteFile(folder / name, ReadFile(from / name));
}

}  // namespace mezzo
