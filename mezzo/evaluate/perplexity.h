// How well a language model predicts a text, by the protocol of llama.cpp's perplexity tool: the
// text in windows of `context` tokens, each run alone, the second half of each scored.
// https://github.com/ggml-org/llama.cpp/blob/master/tools/perplexity/README.md
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mezzo/runtime/language.h"

namespace mezzo {

// The text's tokens in windows, what is left over at the end left out; at most `limit` of them (0:
// all). If `bos`, it takes the place of each window's first token. Throws UsageError if there is
// not one whole window, or it is shorter than 4.
std::vector<Window> CutWindows(const std::vector<int32_t>& tokens, size_t context, size_t limit,
                               std::optional<int32_t> bos);

// A mean and its standard error, samples taken as independent.
struct Mean {
  double value = 0, error = 0;
};

struct Divergence {
  Mean kl;  // of the reference's distributions from the model's, nats a token
  double median = 0, percentile999 = 0, max = 0;
  Mean same_top;          // share of tokens whose likeliest successor is the same
  Mean perplexity_ratio;  // to the reference's perplexity
};

struct TextScore {
  size_t windows = 0, tokens = 0;  // scored
  Mean perplexity;
  std::optional<Divergence> divergence;
};

// What is left to do after the blocks: the head, and what it reads, by window.
struct FinalStates {
  std::vector<Tensor> hidden;
  Graph head;
};

// Memory: a block, the hidden states. `step` is called after each block.
FinalStates ReadText(const LanguageModel& model, const std::vector<Window>& windows,
                     const Threads& threads, const std::function<void()>& step = {});

// Memory: the heads, and a few hundred rows of logits. Throws UsageError if the reference has
// another vocabulary.
TextScore ScoreText(const FinalStates& model, const FinalStates* reference,
                    const std::vector<Window>& windows, const Threads& threads);

}  // namespace mezzo
