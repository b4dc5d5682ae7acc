// A language model's weights one after another, as exports read them.
#pragma once

#include <functional>
#include <string>
#include <variant>

#include "mezzo/import/llm/model.h"

namespace mezzo {

struct Parameter {
  std::string name;  // as the IR's: model.layers.3.self_attn.q_proj.weight
  // The codes where the model's folder holds such (quantized.h), else float32. Rows as in the IR,
  // rotary pairs in the two halves of a head.
  StoredMatrix value;

  Shape shape() const;
  std::string module() const { return name.substr(0, name.rfind('.')); }
};

// Calls visit for every parameter once: what stands before the blocks, each block's, what stands
// behind; always in the same order. A piece of the model is in memory at a time. `piece` counts:
// the embedding is 0, block i is i + 1, the head is layers + 1. Throws what LanguageModel does.
void ForEachParameter(const LanguageModel& model,
                      const std::function<void(int64_t piece, Parameter)>& visit);

}  // namespace mezzo
