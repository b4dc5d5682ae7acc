// How well a language model predicts a text, by the protocol of llama.cpp's perplexity tool: the
// text in windows of `context` tokens, each run alone, the second half of each scored.
// https://github.com/ggml-org/llama.cpp/blob/master/tools/perplexity/README.md
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mezzo/runtime/decoder/decoder.h"
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

// What the blocks make of the windows, and the head: from rows of that, (rows, vocabulary). It may
// be called by several threads.
struct FinalStates {
  std::vector<Tensor> hidden;
  std::function<Tensor(const Tensor& rows)> head;
};
std::function<Tensor(const Tensor& rows)> GraphHead(Graph head);

struct ReadOptions {
  Threads threads;
  KvFormat kv = KvFormat::kFloat;
};

// A quantized model runs as it generates, in the decoder (memory: its packed weights); a float one
// block by block (memory: a block), unless keys and values are to be kept in 8 bits. Both: the
// hidden states. `step` is called ReadSteps times. The model must outlive the result.
FinalStates ReadText(const LanguageModel& model, const std::vector<Window>& windows,
                     const ReadOptions& options, const std::function<void()>& step = {});
size_t ReadSteps(const LanguageModel& model, const std::vector<Window>& windows,
                 const ReadOptions& options);

// Memory: the heads, and a few hundred rows of logits. Throws UsageError if the reference has
// another vocabulary.
TextScore ScoreText(const FinalStates& model, const FinalStates* reference,
                    const std::vector<Window>& windows, const Threads& threads);

}  // namespace mezzo
