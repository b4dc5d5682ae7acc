// Keys and values in int16. Codes of queries and keys are as large as sums over the channels allow
// in int32; probabilities times the values' scales become codes of int16, no larger than sums over
// the positions allow: probabilities add up to one.
#include <algorithm>
#include <cmath>

#include "mezzo/kernels/attention/kv_cache.h"
#include "mezzo/kernels/attention/wide_product.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/wide_codes.h"

namespace mezzo {
namespace {

constexpr int64_t kWidth = WidePanels::kWidth;
constexpr float kLargestSum = 2147483647.0f, kValueTop = 8191;

// Of queries and keys: width * top^2 fits int32.
float KeyTop(int64_t width) {
  return std::min(32767.0f,
                  std::floor(std::sqrt(kLargestSum / static_cast<float>(width)) * 0.9999f));
}

// The largest |a[i] * b[i]|; NaN if one is, whose bits are above those of numbers.
float LargestProduct(const float* a, const float* b, int64_t n) {
  vmath::I8 most{};
  const auto take = [&](vmath::F8 x, vmath::F8 y) {
    const auto bits = (vmath::I8)vmath::Abs(x * y);
    most = bits > most ? bits : most;
  };
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) take(vmath::Load(a + i), vmath::Load(b + i));
  take(vmath::LoadPart(a + i, n - i), vmath::LoadPart(b + i, n - i));
  float lanes[8];
  vmath::Store(lanes, (vmath::F8)most);
  return vmath::LargestMagnitude(lanes, 8);
}

// codes[i] = a[i] * b[i] * factor, rounded.
void RoundProducts(const float* a, const float* b, int64_t n, float factor, int16_t* codes) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i),
                     WideCodes8(vmath::Load(a + i) * vmath::Load(b + i) * factor));
  const auto left = static_cast<size_t>(n - i);
  const __m128i last =
      WideCodes8(vmath::LoadPart(a + i, left) * vmath::LoadPart(b + i, left) * factor);
  std::memcpy(codes + i, &last, left * sizeof(int16_t));
}

float LargerOrNan(float a, float b) { return a > b || a != a ? a : b; }

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
  int16_t codes[kWidth];
  auto* const head_codes = p.codes.data<int16_t>() + head * capacity_ * width_;
  for (int64_t c = 0; c < n; c += kWidth) {
    const int64_t count = std::min(kWidth, n - c);
    RoundWide(x + c, count, scale, codes);
    int16_t* const to = head_codes + WideAt(position, c, keys);
    if (!keys)  // channels, beside those of another position
      for (int64_t i = 0; i < count; ++i) to[2 * i] = codes[i];
    else  // pairs of channels, a line apart
      for (int64_t i = 0; i < count; ++i) to[i / 2 * 2 * kWidth + i % 2] = codes[i];
  }
}

void KvCache::AttendWide(const float* q, int64_t q_stride, int64_t first, int64_t tokens,
                         int64_t kv_head, float* y, int64_t y_stride) const {
  const int64_t size = shape_.head_size, group = shape_.heads / shape_.kv_heads;
  const int64_t keys = first + tokens, rows = tokens * group;
  const int64_t panels = (keys + kWidth - 1) / kWidth, stride = panels * kWidth;
  Tensor floats(DType::kFloat32, {rows * (stride + width_ + 1)});
  Tensor codes = Tensor::Zeros(DType::kInt16, {rows * (stride + width_)});
  float* const scores = floats.data<float>();
  float *const out = scores + rows * stride, *const scales = out + rows * width_;
  auto* const weights = codes.data<int16_t>();
  int16_t* const queries = weights + rows * stride;
  for (int64_t r = 0; r < rows; ++r) {
    const float* query = q + r / group * q_stride + (kv_head * group + r % group) * size;
    scales[r] = WideScale(query, size, KeyTop(width_));
    RoundWide(query, size, scales[r], queries + r * width_);
  }
  const int64_t head = kv_head * capacity_;
  WideProduct({queries, scales, rows, width_},
              {keys_.codes.data<int16_t>() + head * width_, width_ / 2, panels, kWidth * width_,
               keys_.scales.data() + head},
              scores, stride);

  const float* value_scales = values_.scales.data() + head;
  float top = 0;  // of the values' scales
  for (int64_t t = 0; t < first; ++t) top = LargerOrNan(value_scales[t], top);
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * stride;
    const int64_t seen = first + r / group + 1;
    top = LargerOrNan(value_scales[seen - 1], top);
    vmath::SoftmaxRow(row, row, seen);
    // Codes add up to the sum of the products over their scale, and half a code for each.
    const float most = kLargestSum / kValueTop - static_cast<float>(seen);
    scales[r] = LargerOrNan(LargestProduct(row, value_scales, seen) / 32767, top * 1.001f / most);
    RoundProducts(row, value_scales, seen, 1 / scales[r], weights + r * stride);
  }
  WideProduct({weights, scales, rows, stride},
              {values_.codes.data<int16_t>() + head * width_, (keys + 1) / 2, width_ / kWidth,
               kWidth * capacity_, nullptr},
              out, width_);
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(out + r * width_, size,
                y + r / group * y_stride + (kv_head * group + r % group) * size);
}

}  // namespace mezzo
