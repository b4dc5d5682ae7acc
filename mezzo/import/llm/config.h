// What a language model's checkpoint says about its shape.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mezzo/checkpoint/gguf.h"
#include "mezzo/checkpoint/llama2c.h"
#include "mezzo/import/llm/quantized.h"

namespace mezzo {

struct LlmConfig {
  std::string architecture;  // config.json's model_type: llama, mistral, qwen2, gpt2
  int64_t layers = 0, hidden = 0, feed_forward = 0, vocabulary = 0;
  int64_t heads = 0, kv_heads = 0, head_size = 0;
  int64_t context = 0;  // positions that it was made for
  float norm_epsilon = 0;
  bool tied = false;  // the head's weights are the embedding

  // Rotary embeddings; none for gpt2. Radians that each pair of a head's channels turns by from one
  // position to the next, and whether the file has the rows of a pair side by side or in the two
  // halves of the head.
  std::vector<double> rotary;
  double rope_theta = 0;
  bool plain_rotary = true;  // `rotary` is what rope_theta says and no more
  bool interleaved = false;

  std::optional<LlmQuantization> quantization;  // of Mezzo's own layout
};

// LlmConfig::rotary as `theta` alone says.
std::vector<double> PlainRotary(int64_t head_size, double theta);

// Each throws FileError naming the file, the field, what it holds and what is needed: for fields
// that are missing or contradict each other, and for what the graphs of model.h do not do (other
// architectures, activations, rope scaling but linear and llama3, sliding windows).

// Hugging Face's config.json; `where` begins messages.
LlmConfig ParseHfConfig(const std::string& text, const std::string& where);
// The metadata of GGUF. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
LlmConfig ConfigOf(const Gguf& file);
LlmConfig ConfigOf(const Llama2c& file);

}  // namespace mezzo
