// Keys and values in int16. Codes of queries and keys are as large as sums over the channels allow
// in int32; scores become codes of probabilities times the values' scales (wide_weights.h).
#include <algorithm>
#include <cmath>

#include "mezzo/kernels/attention/kv_cache.h"
#include "mezzo/kernels/attention/wide_product.h"
#include "mezzo/kernels/attention/wide_weights.h"
#include "mezzo/kernels/wide_codes.h"

namespace mezzo {
namespace {

constexpr int64_t kWidth = WidePanels::kWidth;

// Of queries and keys: width * top^2 fits int32.
float KeyTop(int64_t width) {
  return std::min(32767.0f,
                  std::floor(std::sqrt(kLargestSum / static_cast<float>(width)) * 0.9999f));
}

}  // namespace

int64_t KvCache::WideAt(int64_t position, int64_t channel, bool keys) const {
  const int64_t panel = keys ? position / kWidth * width_ : channel / kWidth * capacity_;
  const int64_t line = keys ? channel : position, column = keys ? position : channel;
  return panel * kWidth + line / 2 * 2 * kWidth + column % kWidth * 2 + line % 2;
}

void KvCache::StoreWide(Panels& p, int64_t head, int64_t position, const float* x,
                        bool keys) const {
  const int64_t n = shape_.head_size;
  const float scale = WideScale(x, n, keys ? KeyTop(width_) : kValueTop);
  p.scales[head * capacity_ + position] = scale;
  auto* const head_codes = p.codes.data<int16_t>() + head * capacity_ * width_;
  for (int64_t c = 0; c < n; c += kWidth) {
    const int64_t count = std::min(kWidth, n - c);
    int16_t codes[kWidth] = {};
    RoundWide(x + c, count, scale, codes);
    int16_t* const to = head_codes + WideAt(position, c, keys);
    if (!keys)  // channels, beside those of another position
      for (int64_t i = 0; i < count; ++i) to[2 * i] = codes[i];
    else  // pairs of channels, a line apart
      for (int64_t i = 0; i < kWidth; i += 2)
        std::memcpy(to + i * kWidth, codes + i, 2 * sizeof(int16_t));
  }
}

void KvCache::AttendWide(const float* q, int64_t q_stride, int64_t first, int64_t tokens,
                         int64_t kv_head, float* y, int64_t y_stride) const {
  const int64_t size = shape_.head_size, group = shape_.heads / shape_.kv_heads;
  const int64_t keys = first + tokens, rows = tokens * group;
  const int64_t panels = (keys + kWidth - 1) / kWidth, stride = panels * kWidth;
  Tensor floats(DType::kFloat32, {rows * (stride + width_ + 1)});
  Tensor codes(DType::kInt16, {rows * (stride + width_)});
  float* const scores = floats.data<float>();
  float *const out = scores + rows * stride, *const scales = out + rows * width_;
  auto* const weights = codes.data<int16_t>();
  int16_t* const queries = weights + rows * stride;
  for (int64_t r = 0; r < rows; ++r) {
    const float* query = q + r / group * q_stride + (kv_head * group + r % group) * size;
    scales[r] = WideScale(query, size, KeyTop(width_));
    RoundWide(query, size, scales[r], queries + r * width_);
    std::fill_n(queries + r * width_ + size, width_ - size, int16_t{0});
  }
  const int64_t head = kv_head * capacity_;
  WideProduct({queries, scales, rows, width_},
              {keys_.codes.data<int16_t>() + head * width_, width_ / 2, panels, kWidth * width_,
               keys_.scales.data() + head},
              scores, stride);

  WideWeights({scores, rows, stride, first, group, values_.scales.data() + head, weights, scales});
  WideProduct({weights, scales, rows, stride},
              {values_.codes.data<int16_t>() + head * width_, (keys + 1) / 2, width_ / kWidth,
               kWidth * capacity_, nullptr},
              out, width_);
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(out + r * width_, size,
                y + r / group * y_stride + (kv_head * group + r % group) * size);
}

}  // namespace mezzo
