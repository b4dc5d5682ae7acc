#include "mezzo/import/llm/names.h"

#include <algorithm>

#include "mezzo/base/error.h"

namespace mezzo {
namespace {

constexpr ModuleName kModules[] = {
    {"embed_tokens", "token_embd", "tok_embeddings"},
    {"norm", "output_norm", "norm"},
    {"lm_head", "output", "output"},
    {"input_layernorm", "attn_norm", "attention_norm"},
    {"self_attn.q_proj", "attn_q", "attention.wq"},
    {"self_attn.k_proj", "attn_k", "attention.wk"},
    {"self_attn.v_proj", "attn_v", "attention.wv"},
    {"self_attn.o_proj", "attn_output", "attention.wo"},
    {"post_attention_layernorm", "ffn_norm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate", "feed_forward.w1"},
    {"mlp.up_proj", "ffn_up", "feed_forward.w3"},
    {"mlp.down_proj", "ffn_down", "feed_forward.w2"},
    {"wte", "token_embd", nullptr},
    {"wpe", "position_embd", nullptr},
    {"ln_f", "output_norm", nullptr},
    {"ln_1", "attn_norm", nullptr},
    {"attn.c_attn", "attn_qkv", nullptr},
    {"attn.c_proj", "attn_output", nullptr},
    {"ln_2", "ffn_norm", nullptr},
    {"mlp.c_fc", "ffn_up", nullptr},
    {"mlp.c_proj", "ffn_down", nullptr},
};

// Takes the prefix away if it is there.
bool Strip(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

}  // namespace

const ModuleName& FindModule(std::string_view hugging_face) {
  const auto it = std::find_if(std::begin(kModules), std::end(kModules),
                               [&](const ModuleName& m) { return m.hugging_face == hugging_face; });
  Require(it != std::end(kModules), "no module ", hugging_face);
  return *it;
}

std::string GgufName(const std::string& name) {
  std::string_view rest = name;
  std::string block;
  if (!Strip(rest, "model.")) Strip(rest, "transformer.");
  if (Strip(rest, "layers.") || Strip(rest, "h.")) {
    const size_t dot = rest.find('.');
    block = Cat("blk.", rest.substr(0, dot), ".");
    rest.remove_prefix(std::min(dot, rest.size() - 1) + 1);
  }
  const size_t dot = std::min(rest.rfind('.'), rest.size());
  return Cat(block, FindModule(rest.substr(0, dot)).gguf, rest.substr(dot));
}

}  // namespace mezzo
