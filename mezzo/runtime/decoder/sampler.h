// The next token from logits.
#pragma once

#include <cstdint>
#include <random>
#include <span>

#include "mezzo/runtime/decoder/decoder.h"

namespace mezzo {

// The logits that follow the last row of what Decoder::Read gave.
Tensor LastLogits(const Decoder& decoder, const Tensor& hidden);

// The first of the largest.
int32_t Likeliest(const Tensor& logits);

struct SamplerOptions {
  float temperature = 0;  // 0: the likeliest token
  int64_t top_k = 0;      // of the likeliest tokens; 0: all
  float top_p = 1;        // of the likeliest whose probabilities first sum to this
  uint64_t seed = 1;
};

// Draws tokens. The same seed and logits give the same tokens.
class Sampler {
 public:
  // Throws UsageError for a negative temperature or top_k, or top_p outside (0, 1].
  explicit Sampler(const SamplerOptions& options);
  int32_t Next(const Tensor& logits);

 private:
  SamplerOptions o_;
  std::mt19937_64 random_;
};

}  // namespace mezzo
