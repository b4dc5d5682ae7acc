// Attention (opset 23, with 24's nonpad_kv_seqlen and 25's windows): softmax(softcap(Q K^T * scale)
// + bias) V, per head. Query heads share key/value heads in equal runs. A query that may attend to
// nothing gives zeros.
#include "mezzo/runtime/ops/attention.h"

#include <algorithm>
#include <cmath>

#include "mezzo/kernels/sgemm/sgemm.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/rows.h"
#include "mezzo/runtime/ops/families.h"
#include "mezzo/runtime/ops/float_io.h"
#include "mezzo/runtime/ops/strided_copy.h"

namespace mezzo {
namespace {

constexpr float kMasked = -INFINITY;
constexpr int64_t kQueries = 96;  // that go through the keys together

// (B, S, heads * D) to (B, heads, S, D); four dimensions stay.
Tensor SplitHeads(OpContext& ctx, size_t i, const char* attribute) {
  const Tensor& t = ctx.Plain(i);
  if (t.rank() == 4) return t;
  const int64_t heads = ctx.node.Int(attribute, 0);
  Require(t.rank() == 3 && heads > 0 && t.dim(2) % heads == 0, "Attention ", ctx.node.name,
          ": input ", i, " ", ToString(t.shape()), " with ", attribute, " = ", heads);
  return TransposeTensor(t.Reshape({t.dim(0), t.dim(1), heads, t.dim(2) / heads}), {0, 2, 1, 3},
                         ctx.threads);
}

// past and now, one after the other along dimension 2.
Tensor Append(const Node& node, const Tensor& past, const Tensor& now) {
  Require(past.rank() == 4 && past.dim(0) == now.dim(0) && past.dim(1) == now.dim(1) &&
              past.dim(3) == now.dim(3),
          "Attention ", node.name, ": past ", ToString(past.shape()), " before ",
          ToString(now.shape()));
  Tensor all(DType::kFloat32, {now.dim(0), now.dim(1), past.dim(2) + now.dim(2), now.dim(3)});
  const int64_t a = past.dim(2) * past.dim(3), b = now.dim(2) * now.dim(3);
  for (int64_t i = 0; i < now.dim(0) * now.dim(1); ++i) {
    std::copy_n(past.data<float>() + i * a, a, all.data<float>() + i * (a + b));
    std::copy_n(now.data<float>() + i * b, b, all.data<float>() + i * (a + b) + a);
  }
  return all;
}

// What is added to the scores before the softmax: 0 or -inf from causality and padding, or the
// mask's number.
class Bias {
 public:
  Bias(OpContext& ctx, const Tensor& q, int64_t keys, int64_t past)
      : causal_(ctx.node.Int("is_causal", 0) != 0),
        left_(ctx.node.Int("left_window_size", -1)),
        right_(ctx.node.Int("right_window_size", -1)),
        offsets_(q.dim(0), past) {
    if (ctx.Has(6)) {
      valid_ = ToInts(ctx.Plain(6));
      Require(valid_.size() == offsets_.size(), "Attention ", ctx.node.name, ": ", valid_.size(),
              " lengths for a batch of ", q.dim(0));
      for (size_t b = 0; b < valid_.size() && past == 0; ++b) offsets_[b] = valid_[b] - q.dim(2);
    }
    if (!ctx.Has(3)) return;
    mask_ = ctx.Plain(3);
    Shape want{q.dim(0), q.dim(1), q.dim(2), keys};
    const auto strides = PlainStrides(mask_.shape());
    Require(mask_.rank() <= 4, "Attention ", ctx.node.name, ": mask ", ToString(mask_.shape()));
    for (size_t d = 0; d < mask_.rank(); ++d) {
      const size_t to = 4 - mask_.rank() + d;
      const bool last = to == 3;  // a short mask leaves the keys after it out
      Require(mask_.dim(d) == want[to] || mask_.dim(d) == 1 || (last && mask_.dim(d) < keys),
              "Attention ", ctx.node.name, ": mask ", ToString(mask_.shape()), " for scores ",
              ToString(want));
      strides_[to] = mask_.dim(d) == 1 && want[to] != 1 && !last ? 0 : strides[d];
    }
    if (mask_.dtype() == DType::kBool)
      bools_ = mask_.data<bool>();
    else
      numbers_ = mask_.data<float>();
    mask_keys_ = mask_.rank() == 0 ? keys : mask_.dim(mask_.rank() - 1);
  }

  // Keys from here on are masked for all queries up to i.
  int64_t End(int64_t b, int64_t i, int64_t keys) const {
    if (!valid_.empty()) keys = std::clamp<int64_t>(valid_[b], 0, keys);
    const int64_t ahead = causal_ ? 0 : right_ >= 0 ? right_ : keys;
    return std::clamp<int64_t>(i + offsets_[b] + ahead + 1, 0, keys);
  }
  // Whether the keys before End are all seen as they are.
  bool SeesAllBefore() const { return !mask_.defined() && left_ < 0; }

  // The row of query i, head h, sample b: fills row[0, keys); false if every key is masked.
  bool Fill(int64_t b, int64_t h, int64_t i, int64_t keys, float* row) const {
    const int64_t at = b * strides_[0] + h * strides_[1] + i * strides_[2];
    bool any = false;
    for (int64_t k = 0; k < keys; ++k) {
      float v = !mask_.defined() ? 0.0f : k < mask_keys_ ? MaskAt(at + k * strides_[3]) : kMasked;
      const int64_t ahead = k - i - offsets_[b];
      const bool hidden = (causal_ && ahead > 0) || (left_ >= 0 && -ahead > left_) ||
                          (right_ >= 0 && ahead > right_);
      if (hidden) v = kMasked;
      if (!valid_.empty() && k >= valid_[b]) v = kMasked;
      row[k] = v;
      any = any || v != kMasked;
    }
    return any;
  }

 private:
  float MaskAt(int64_t i) const { return bools_ ? (bools_[i] ? 0.0f : kMasked) : numbers_[i]; }

  bool causal_;
  int64_t left_, right_;          // keys within reach on either side (opset 25); -1: all
  std::vector<int64_t> offsets_;  // keys before the first query, by sample
  std::vector<int64_t> valid_;    // keys that exist, by sample; empty: all
  Tensor mask_;
  const bool* bools_ = nullptr;  // its data, one of the two
  const float* numbers_ = nullptr;
  std::array<int64_t, 4> strides_{};
  int64_t mask_keys_ = 0;
};

enum ScoresOut : int64_t { kRaw = 0, kCapped = 1, kBiased = 2, kSoftmax = 3 };

struct Job {
  const Tensor &q, &k, &v;
  const Bias& bias;
  float scale, softcap;
  int64_t scores_out;
  float* shown;  // (B, heads, S, keys) or null
  Tensor& y;
};

// One row of scores of sample b, head h, query i, with the keys before `keys`.
void FinishRow(const Job& j, int64_t b, int64_t h, int64_t i, int64_t keys, float* row,
               float* bias) {
  float* shown = j.shown ? j.shown + ((b * j.q.dim(1) + h) * j.q.dim(2) + i) * keys : nullptr;
  const auto show = [&](int64_t when) {
    if (shown && j.scores_out == when) std::copy_n(row, keys, shown);
  };
  show(kRaw);
  if (j.softcap > 0) {
    vmath::Map(row, row, keys, [&](vmath::F8 v) { return vmath::Tanh(v / j.softcap) * j.softcap; });
  }
  show(kCapped);
  bool any = true;
  if (j.bias.SeesAllBefore()) {
    const int64_t end = j.bias.End(b, i, keys);
    std::fill(row + end, row + keys, kMasked);
    any = end > 0;
  } else {
    any = j.bias.Fill(b, h, i, keys, bias);
    for (int64_t k = 0; k < keys; ++k) row[k] = bias[k] == kMasked ? kMasked : row[k] + bias[k];
  }
  show(kBiased);
  if (any)
    vmath::SoftmaxRow(row, row, keys);
  else
    std::fill(row, row + keys, 0.0f);
  show(kSoftmax);
}

void RunHead(const Job& j, int64_t b, int64_t h) {
  const int64_t queries = j.q.dim(2), keys = j.k.dim(2), depth = j.q.dim(3), width = j.v.dim(3);
  const int64_t kv = b * j.k.dim(1) + h / (j.q.dim(1) / j.k.dim(1)), out = b * j.q.dim(1) + h;
  // Both factors take the root of the scale, as the standard's function body has it.
  const float root = std::sqrt(j.scale);
  const auto scaled = [&](const Tensor& t, int64_t head, int64_t n) {
    std::vector<float> to(n);
    vmath::Map(t.data<float>() + head * n, to.data(), n, [&](vmath::F8 v) { return v * root; });
    return to;
  };
  const std::vector<float> q = scaled(j.q, out, queries * depth), k = scaled(j.k, kv, keys * depth);
  const PackedB packed_k(k.data(), depth, keys, 1, depth, {});
  const PackedB packed_v(j.v.data<float>() + kv * keys * width, keys, width, width, 1, {});
  float* const y = j.y.data<float>() + out * queries * width;
  std::vector<float> scores(std::min(queries, kQueries) * keys), bias(keys);
  for (int64_t first = 0; first < queries; first += kQueries) {
    // Masked keys behind those of all these queries add exact zeros: they are left out.
    const int64_t rows = std::min(kQueries, queries - first);
    const int64_t end = j.shown ? keys : j.bias.End(b, first + rows - 1, keys);
    const float *from[kQueries], *weights[kQueries];
    for (int64_t i = 0; i < rows; ++i) {
      from[i] = q.data() + (first + i) * depth;
      weights[i] = scores.data() + i * keys;
    }
    SgemmBlock({from, 1, depth}, rows, packed_k, 0, (end + PackedB::kWidth - 1) / PackedB::kWidth,
               scores.data(), keys, {});
    for (int64_t i = 0; i < rows; ++i)
      FinishRow(j, b, h, first + i, end, scores.data() + i * keys, bias.data());
    SgemmBlock({weights, 1, end}, rows,
               PackedB::View(packed_v.panel(0), end, width, packed_v.panel_stride()), 0,
               packed_v.panels(), y + first * width, width, {});
  }
}

void Attention(OpContext& ctx) {
  const Tensor q = SplitHeads(ctx, 0, "q_num_heads");
  Tensor k = SplitHeads(ctx, 1, "kv_num_heads"), v = SplitHeads(ctx, 2, "kv_num_heads");
  const bool flat = ctx.in[0].rank() == 3;
  int64_t past = 0;
  if (ctx.Has(4)) {
    past = ctx.Plain(4).dim(2);
    k = Append(ctx.node, ctx.in[4], k);
    v = Append(ctx.node, ctx.Plain(5), v);
  }
  Require(k.dim(0) == q.dim(0) && v.dim(0) == q.dim(0) && k.dim(1) == v.dim(1) && k.dim(1) > 0 &&
              q.dim(1) % k.dim(1) == 0 && k.dim(3) == q.dim(3) && v.dim(2) == k.dim(2),
          "Attention ", ctx.node.name, ": queries ", ToString(q.shape()), ", keys ",
          ToString(k.shape()), ", values ", ToString(v.shape()));
  const int64_t keys = k.dim(2);
  const Bias bias(ctx, q, keys, past);
  Tensor y(DType::kFloat32, {q.dim(0), q.dim(1), q.dim(2), v.dim(3)}), shown;
  if (ctx.out.size() > 3) shown = Tensor(DType::kFloat32, {q.dim(0), q.dim(1), q.dim(2), keys});
  const float scale = ctx.node.Float("scale", 1.0f / std::sqrt(static_cast<float>(q.dim(3))));
  const Job job{q,
                k,
                v,
                bias,
                scale,
                ctx.node.Float("softcap", 0.0f),
                ctx.node.Int("qk_matmul_output_mode", 0),
                shown.defined() ? shown.data<float>() : nullptr,
                y};
  ctx.threads.Each(q.dim(0) * q.dim(1), [&](size_t i, size_t) {
    RunHead(job, static_cast<int64_t>(i) / q.dim(1), static_cast<int64_t>(i) % q.dim(1));
  });
  if (flat) {
    const Shape shape{q.dim(0), q.dim(2), q.dim(1) * v.dim(3)};
    y = TransposeTensor(y, {0, 2, 1, 3}, ctx.threads).Reshape(shape);
  }
  ctx.out[0] = y;
  if (ctx.out.size() > 1) ctx.out[1] = k;
  if (ctx.out.size() > 2) ctx.out[2] = v;
  if (ctx.out.size() > 3) ctx.out[3] = shown;
}

}  // namespace

void AddAttention(OpTable& table) {
  table.Add("Attention", AsFloat32<Attention>);
  table.Add("RotaryEmbedding", AsFloat32<RotaryEmbedding>);
}

}  // namespace mezzo
