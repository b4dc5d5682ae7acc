// What the parts of a model are called: in the IR and by Hugging Face, in GGUF, in llama2.c files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mezzo {

struct ModuleName {
  const char *hugging_face, *gguf, *llama2c;  // nullptr: there is none
};

// Of a module without its layer: "self_attn.q_proj". UsageError for one that no model has.
const ModuleName& FindModule(std::string_view hugging_face);

// "model.layers.3.mlp.up_proj.weight", as the IR calls it, is "blk.3.ffn_up.weight".
std::string GgufName(const std::string& name);

// Queries and keys with the two rows of a rotary pair side by side: the place of row r where the
// pair lies in the two halves of its head.
inline int64_t RowInHalves(int64_t r, int64_t head_size) {
  const int64_t in_head = r % head_size;
  return r - in_head + in_head / 2 + in_head % 2 * (head_size / 2);
}
// Whether a rotary embedding turns the rows of this module or parameter.
inline bool IsTurned(std::string_view name) {
  return name.find("self_attn.q_proj") != name.npos || name.find("self_attn.k_proj") != name.npos;
}

}  // namespace mezzo
