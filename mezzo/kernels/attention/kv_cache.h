// Causal attention with the keys and values of all positions so far kept: for query t of head h
//
//   y = softmax(q . k_0 .. q . k_t) V, keys of head h / (heads / kv_heads)
//
// Every score is one chain of fused multiply-adds over the channels, every output one over the
// positions, as in the operator Attention (runtime/ops/attention.cc): the same bits, for any number
// of threads and however the positions were cut into calls. With kInt16 both are sums of integers
// (kv_cache_wide.cc), on every instruction set the same.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mezzo/base/threads.h"
#include "mezzo/tensor/tensor.h"

namespace mezzo {

// How keys and values are kept: as they are, or as codes with a scale for each position and head,
// largest magnitude / 127 (int8) or / 448 (FP8 E4M3FN); in int16 keys have 2^15.5 / sqrt(head size)
// codes to each side, so that sums fit int32, and values 8191. Queries and probabilities are
// rounded likewise then.
enum class KvFormat : uint8_t { kFloat, kInt16, kInt8, kFp8 };
// "float", "int16", "int8", "fp8"; throws UsageError for others.
KvFormat ParseKvFormat(std::string_view name);

struct AttentionShape {
  int64_t heads = 0, kv_heads = 0, head_size = 0;
};

// Of one layer.
class KvCache {
 public:
  KvCache(const AttentionShape& shape, int64_t capacity, KvFormat format);

  // Keys and values (kv_heads, head_size) of a position below the capacity. Scores are products
  // with what is stored here: the caller scales.
  void Store(int64_t position, const float* keys, const float* values);

  // Queries (tokens, heads, head_size) at positions `first` and on, whose keys and values are
  // stored; q and y rows (tokens) are `q_stride` and `y_stride` apart.
  void Attend(const float* q, int64_t q_stride, int64_t first, int64_t tokens, float* y,
              int64_t y_stride, const Threads& threads) const;

  static int64_t BytesPerPosition(const AttentionShape& shape, KvFormat format);

 private:
  // One head's part of a tensor of keys or values: panels of 16 as sgemm.h reads them.
  struct Panels {
    Tensor floats, codes;       // one of the two
    std::vector<float> scales;  // (kv_heads, capacity)
  };
  void StoreHead(Panels& panels, int64_t head, int64_t position, const float* x, bool keys) const;
  // The panels of a head up to `positions`, in float: where they are, or decoded into `scratch`.
  const float* HeadFloats(const Panels& panels, int64_t head, int64_t positions, bool keys,
                          Tensor& scratch) const;
  int64_t At(int64_t position, int64_t channel, bool keys) const;
  // The same of int16 codes: pairs of channels, or of positions, side by side (wide_product.h).
  int64_t WideAt(int64_t position, int64_t channel, bool keys) const;
  void StoreWide(Panels& panels, int64_t head, int64_t position, const float* x, bool keys) const;
  void AttendWide(const float* q, int64_t q_stride, int64_t first, int64_t tokens, int64_t kv_head,
                  float* y, int64_t y_stride) const;
  void AttendBlock(const float* q, int64_t q_stride, int64_t first, int64_t tokens, int64_t kv_head,
                   float* y, int64_t y_stride) const;

  AttentionShape shape_;
  int64_t capacity_, width_;  // whole panels
  KvFormat format_;
  Panels keys_, values_;
};

}  // namespace mezzo
