#include "mezzo/kernels/attention/kv_cache.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "mezzo/format/fp8.h"
#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/rows.h"

namespace mezzo {
namespace {

constexpr int64_t kPanel = PackedB::kWidth;
constexpr int64_t kTokens =
    32;  // queries that go through the keys together, times heads in a group

int64_t Padded(int64_t n) { return (n + kPanel - 1) / kPanel * kPanel; }

}  // namespace

KvFormat ParseKvFormat(std::string_view name) {
  if (name == "int16") return KvFormat::kInt16;
  if (name == "int8") return KvFormat::kInt8;
  if (name == "fp8") return KvFormat::kFp8;
  Require(name == "float", "keys and values in '", name, "', needs float, int16, int8 or fp8");
  return KvFormat::kFloat;
}

KvCache::KvCache(const AttentionShape& shape, int64_t capacity, KvFormat format)
    : shape_(shape), capacity_(Padded(capacity)), width_(Padded(shape.head_size)), format_(format) {
  for (Panels* p : {&keys_, &values_}) {
    const Shape all{shape.kv_heads, capacity_, width_};
    if (format == KvFormat::kFloat) {
      p->floats = Tensor::Zeros(DType::kFloat32, all);
    } else {
      p->codes = Tensor::Zeros(format == KvFormat::kInt16 ? DType::kInt16 : DType::kUInt8, all);
      p->scales.resize(shape.kv_heads * capacity_);
    }
  }
}

int64_t KvCache::BytesPerPosition(const AttentionShape& shape, KvFormat format) {
  const int64_t width = Padded(shape.head_size);
  if (format == KvFormat::kFloat) return 2 * shape.kv_heads * 4 * width;
  return 2 * shape.kv_heads * ((format == KvFormat::kInt16 ? 2 : 1) * width + 4);
}

// Keys: panels of 16 positions, in them channel by channel. Values: panels of 16 channels, in them
// position by position.
int64_t KvCache::At(int64_t position, int64_t channel, bool keys) const {
  return keys ? position / kPanel * kPanel * width_ + channel * kPanel + position % kPanel
              : channel / kPanel * kPanel * capacity_ + position * kPanel + channel % kPanel;
}

void KvCache::StoreHead(Panels& p, int64_t head, int64_t position, const float* x,
                        bool keys) const {
  if (format_ == KvFormat::kInt16) return StoreWide(p, head, position, x, keys);
  const int64_t begin = head * capacity_ * width_;
  if (format_ == KvFormat::kFloat) {
    float* to = p.floats.data<float>() + begin;
    if (keys) {
      to += At(position, 0, true);
      for (int64_t c = 0; c < shape_.head_size; ++c) to[c * kPanel] = x[c];
    } else {
      for (int64_t c = 0; c < shape_.head_size; c += kPanel)
        std::copy_n(x + c, std::min(kPanel, shape_.head_size - c), to + At(position, c, false));
    }
    return;
  }
  float top = 0;
  for (int64_t c = 0; c < shape_.head_size; ++c) top = std::max(top, std::fabs(x[c]));
  const bool fp8 = format_ == KvFormat::kFp8;
  const float scale = std::max(top / (fp8 ? kE4M3FN.max : 127.0f), FLT_MIN);
  p.scales[head * capacity_ + position] = scale;
  uint8_t* to = p.codes.data<uint8_t>() + begin;
  for (int64_t c = 0; c < shape_.head_size; ++c)
    to[At(position, c, keys)] =
        fp8 ? FloatToFp8E4M3(x[c] / scale)
            : static_cast<uint8_t>(static_cast<int8_t>(std::nearbyint(x[c] / scale)));
}

void KvCache::Store(int64_t position, const float* keys, const float* values) {
  Require(position >= 0 && position < capacity_, "position ", position, " of ", capacity_);
  for (int64_t h = 0; h < shape_.kv_heads; ++h) {
    StoreHead(keys_, h, position, keys + h * shape_.head_size, true);
    StoreHead(values_, h, position, values + h * shape_.head_size, false);
  }
}

const float* KvCache::HeadFloats(const Panels& p, int64_t head, int64_t positions, bool keys,
                                 Tensor& scratch) const {
  const int64_t begin = head * capacity_ * width_;
  if (format_ == KvFormat::kFloat) return p.floats.data<float>() + begin;
  scratch = Tensor(DType::kFloat32, {capacity_ * width_});
  float values[256];
  for (int i = 0; i < 256; ++i)
    values[i] = format_ == KvFormat::kFp8 ? Fp8E4M3ToFloat(static_cast<uint8_t>(i))
                                          : static_cast<float>(static_cast<int8_t>(i));
  const uint8_t* codes = p.codes.data<uint8_t>() + begin;
  const float* scales = p.scales.data() + head * capacity_;
  float* const to = scratch.data<float>();
  const auto decode = [&](int64_t at, int64_t position) {
    to[at] = values[codes[at]] * scales[position];
  };
  // Line by line as they lie: sixteen positions of a channel, or sixteen channels of a position.
  for (int64_t first = 0; first < (keys ? Padded(positions) : width_); first += kPanel)
    for (int64_t line = 0; line < (keys ? width_ : positions); ++line) {
      const int64_t at = keys ? At(first, line, true) : At(line, first, false);
      for (int64_t i = 0; i < kPanel; ++i) decode(at + i, keys ? first + i : line);
    }
  return to;
}

void KvCache::AttendBlock(const float* q, int64_t q_stride, int64_t first, int64_t tokens,
                          int64_t kv_head, float* y, int64_t y_stride) const {
  const int64_t size = shape_.head_size, group = shape_.heads / shape_.kv_heads;
  const int64_t keys = first + tokens, rows = tokens * group, stride = Padded(keys);
  std::vector<const float*> queries(rows), weights(rows);
  Tensor buffer(DType::kFloat32, {rows * (stride + size)}), scratch;
  float* const scores = buffer.data<float>();
  float* const out = scores + rows * stride;
  for (int64_t r = 0; r < rows; ++r) {
    queries[r] = q + r / group * q_stride + (kv_head * group + r % group) * size;
    weights[r] = scores + r * stride;
  }
  const PackedB k =
      PackedB::View(HeadFloats(keys_, kv_head, keys, true, scratch), size, keys, kPanel * width_);
  SgemmBlock({queries.data(), 1, size}, rows, k, 0, k.panels(), scores, stride, {});
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores + r * stride;
    const int64_t seen = first + r / group + 1;
    vmath::SoftmaxRow(row, row, seen);
    std::fill(row + seen, row + keys, 0.0f);
  }
  const PackedB v = PackedB::View(HeadFloats(values_, kv_head, keys, false, scratch), keys, size,
                                  kPanel * capacity_);
  SgemmBlock({weights.data(), 1, keys}, rows, v, 0, v.panels(), out, size, {});
  for (int64_t r = 0; r < rows; ++r)
    std::copy_n(out + r * size, size,
                y + r / group * y_stride + (kv_head * group + r % group) * size);
}

void KvCache::Attend(const float* q, int64_t q_stride, int64_t first, int64_t tokens, float* y,
                     int64_t y_stride, const Threads& threads) const {
  const auto attend = format_ == KvFormat::kInt16 ? &KvCache::AttendWide : &KvCache::AttendBlock;
  const int64_t blocks = (tokens + kTokens - 1) / kTokens;
  threads.Each(shape_.kv_heads * blocks, [&](size_t job, size_t) {
    // The last block first, which has most to do.
    const int64_t block = blocks - 1 - static_cast<int64_t>(job) / shape_.kv_heads;
    const int64_t begin = block * kTokens, count = std::min(kTokens, tokens - begin);
    (this->*attend)(q + begin * q_stride, q_stride, first + begin, count,
                    static_cast<int64_t>(job) % shape_.kv_heads, y + begin * y_stride, y_stride);
  });
}

}  // namespace mezzo
