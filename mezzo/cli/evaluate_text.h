// mezzo evaluate of a language model.
#pragma once

#include <string>
#include <vector>

#include "mezzo/import/tokenizer/tokenizer.h"
#include "mezzo/runtime/language.h"

namespace mezzo {

struct TextOptions {
  std::string model, reference, text, kv = "auto";
  size_t context = 512, windows = 0, threads = 0;
  bool json = false;
};

// A model's tokenizer: in its folder or its GGUF file, or for llama2.c in tokenizer.bin beside it.
Tokenizer TokenizerOf(const std::string& model);
// The text in windows of `context` tokens (CutWindows), each begun by the token that begins a text
// if the tokenizer adds one.
std::vector<Window> WindowsOf(const Tokenizer& tokenizer, const std::string& text, size_t context,
                              size_t limit);

// Prints the perplexity of the text, and the divergence from the reference if one is named.
void EvaluateText(const TextOptions& o);

}  // namespace mezzo
