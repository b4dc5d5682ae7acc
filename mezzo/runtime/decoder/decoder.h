// Runs a language model token after token: all weights packed and in memory, keys and values of the
// positions so far kept. What it gives does not depend, to the bit, on the number of threads, nor
// on how a text was cut into calls. Where weights are float, or four-bit with float products, it
// gives the bits of the graphs of import/llm/model.h; with integer products, what group_gemm.h
// says.
#pragma once

#include <span>
#include <vector>

#include "mezzo/kernels/attention/kv_cache.h"
#include "mezzo/runtime/decoder/linear.h"

namespace mezzo {

struct DecoderOptions {
  int64_t context = 0;  // positions to have room for; 0: as many as the model has
  KvFormat kv = KvFormat::kFloat;
  Threads threads;
};

// "auto": int16 for a quantized model, float for others; else what the name says. Throws UsageError
// for other names.
KvFormat KvFormatFor(const LanguageModel& model, const std::string& name);

class Decoder {
 public:
  // Keeps a reference to the model. Throws UsageError for a context longer than the model's, and
  // what reading the model throws.
  Decoder(const LanguageModel& model, const DecoderOptions& options);

  // What the head reads, (tokens, hidden), for tokens at the next positions. Throws UsageError if
  // the context has no room for them.
  Tensor Read(std::span<const int32_t> tokens);
  // (rows, vocabulary) for rows of Read's result. Safe to call from several threads.
  Tensor Logits(const Tensor& hidden) const;

  int64_t position() const { return position_; }
  int64_t context() const { return context_; }
  // Forgets what came at `position` and after.
  void Rewind(int64_t position);

  int64_t weight_bytes() const;   // packed, without the embedding, which stays in the file
  int64_t multiply_adds() const;  // of the linear layers, for a token with its logits
  int64_t cache_bytes() const;    // for the whole context
  double integer_share() const;   // of the multiply-adds

 private:
  struct Norm {
    Tensor scale, bias;
  };
  struct Block {
    Norm before_attention, before_mlp;
    JoinedLinears qkv, attention_out, mlp_in, mlp_out;
    KvCache cache;
  };
  Norm ReadNorm(const std::string& module, int64_t layer) const;
  Block ReadBlock(int64_t layer) const;
  void RunNorm(const Norm& norm, const float* x, int64_t tokens, float* y) const;
  void RunBlock(Block& block, float* x, int64_t tokens);
  void StoreKeys(Block& block, int64_t tokens);
  void Activate(int64_t tokens);
  std::vector<const JoinedLinears*> AllLayers() const;

  const LanguageModel& model_;
  const LlmConfig& c_;
  Threads threads_;
  AttentionShape shape_;
  KvFormat kv_;
  int64_t context_, position_ = 0;
  std::vector<Block> blocks_;
  Norm last_;
  JoinedLinears head_;
  // Of the tokens at hand, in large pages: products write a line of every token's in turn.
  struct Buffer {
    Tensor values;
    float* data() { return values.data<float>(); }
    void Hold(int64_t n) {
      if (!values.defined() || values.numel() < n)
        values = Tensor::ForWeights(DType::kFloat32, {n});
    }
  };
  Buffer normed_, qkv_, attended_, added_, wide_, active_;
};

}  // namespace mezzo
