#include "mezzo/runtime/decoder/decoder.h"

#include <algorithm>
#include <cmath>

#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/kernels/vmath/rows.h"
#include "mezzo/runtime/ops/norm.h"

namespace mezzo {
namespace {

constexpr int64_t kChunk = 256;  // tokens that go through the blocks together

}  // namespace

KvFormat KvFormatFor(const LanguageModel& model, const std::string& name) {
  if (name != "auto") return ParseKvFormat(name);
  return model.config().quantization ? KvFormat::kInt16 : KvFormat::kFloat;
}

Decoder::Decoder(const LanguageModel& model, const DecoderOptions& options)
    : model_(model),
      c_(model.config()),
      threads_(options.threads),
      shape_{c_.heads, c_.kv_heads, c_.head_size},
      kv_(options.kv),
      context_(options.context > 0 ? options.context : model.positions()) {
  Require(context_ <= model.positions(), model.path(), ": a context of ", context_,
          " positions, and it has ", model.positions());
  // A block is made by one thread: packing is work, and blocks do not touch each other.
  std::vector<std::optional<Block>> blocks(c_.layers);
  threads_.Each(c_.layers,
                [&](size_t i, size_t) { blocks[i].emplace(ReadBlock(static_cast<int64_t>(i))); });
  for (auto& block : blocks) blocks_.push_back(*std::move(block));
  last_ = ReadNorm(model.gpt2() ? "ln_f" : "norm", -1);
  head_ = JoinedLinears(model, -1, {{model.HeadModule(), c_.vocabulary}}, c_.hidden, threads_);
}

Decoder::Norm Decoder::ReadNorm(const std::string& module, int64_t layer) const {
  Norm norm{model_.ReadVector(module + ".weight", layer, c_.hidden), {}};
  if (model_.gpt2()) norm.bias = model_.ReadVector(module + ".bias", layer, c_.hidden);
  return norm;
}

Decoder::Block Decoder::ReadBlock(int64_t i) const {
  const int64_t q = c_.heads * c_.head_size, kv = c_.kv_heads * c_.head_size;
  const int64_t hidden = c_.hidden, wide = c_.feed_forward;
  KvCache cache(shape_, context_, kv_);
  if (model_.gpt2())
    return {ReadNorm("ln_1", i),
            ReadNorm("ln_2", i),
            {model_, i, {{"attn.c_attn", q + 2 * kv}}, hidden},
            {model_, i, {{"attn.c_proj", hidden}}, q},
            {model_, i, {{"mlp.c_fc", wide}}, hidden},
            {model_, i, {{"mlp.c_proj", hidden}}, wide},
            std::move(cache)};
  return {ReadNorm("input_layernorm", i),
          ReadNorm("post_attention_layernorm", i),
          {model_,
           i,
           {{"self_attn.q_proj", q}, {"self_attn.k_proj", kv}, {"self_attn.v_proj", kv}},
           hidden},
          {model_, i, {{"self_attn.o_proj", hidden}}, q},
          {model_, i, {{"mlp.gate_proj", wide}, {"mlp.up_proj", wide}}, hidden},
          {model_, i, {{"mlp.down_proj", hidden}}, wide},
          std::move(cache)};
}

void Decoder::RunNorm(const Norm& norm, const float* x, int64_t tokens, float* y) const {
  const int64_t n = c_.hidden;
  const auto* scale = norm.scale.data<float>();
  threads_.For(tokens, 1 + 16384 / n, [&](size_t begin, size_t end) {
    for (auto t = static_cast<int64_t>(begin); t < static_cast<int64_t>(end); ++t)
      if (model_.gpt2())
        LayerNormRow(x + t * n, scale, norm.bias.data<float>(), n, c_.norm_epsilon, y + t * n);
      else
        RmsNormRow(x + t * n, scale, n, c_.norm_epsilon, y + t * n);
  });
}

// Turns queries and keys by their position, scales both with the root of 1 / sqrt(head_size), and
// stores keys and values.
void Decoder::StoreKeys(Block& block, int64_t tokens) {
  const int64_t size = c_.head_size, q = c_.heads * size, kv = c_.kv_heads * size;
  const int64_t stride = q + 2 * kv, half = size / 2;
  const float root = std::sqrt(1.0f / std::sqrt(static_cast<float>(size)));
  threads_.For(tokens, 8, [&](size_t begin, size_t end) {
    for (auto t = static_cast<int64_t>(begin); t < static_cast<int64_t>(end); ++t) {
      float* row = qkv_.data() + t * stride;
      for (int64_t h = 0; h < c_.heads + c_.kv_heads && !model_.gpt2(); ++h)
        RotateHalves(row + h * size, model_.cos().data<float>() + (position_ + t) * half,
                     model_.sin().data<float>() + (position_ + t) * half, half, row + h * size);
      vmath::Map(row, row, q + kv, [&](vmath::F8 v) { return v * root; });
      block.cache.Store(position_ + t, row + q, row + q + kv);
    }
  });
}

void Decoder::Activate(int64_t tokens) {
  const int64_t n = c_.feed_forward;
  threads_.For(tokens, 1 + 8192 / n, [&](size_t begin, size_t end) {
    for (auto t = static_cast<int64_t>(begin); t < static_cast<int64_t>(end); ++t) {
      if (model_.gpt2())
        vmath::Map(wide_.data() + t * n, active_.data() + t * n, n,
                   [](vmath::F8 v) { return vmath::GeluTanh(v); });
      else
        vmath::SiluTimes(wide_.data() + t * 2 * n, wide_.data() + t * 2 * n + n,
                         active_.data() + t * n, n);
    }
  });
}

void Decoder::RunBlock(Block& b, float* x, int64_t tokens) {
  const auto add = [&] {
    threads_.For(tokens * c_.hidden, 16384, [&](size_t begin, size_t end) {
      vmath::Map2(x + begin, added_.data() + begin, x + begin, end - begin,
                  [](vmath::F8 a, vmath::F8 b) { return a + b; });
    });
  };
  RunNorm(b.before_attention, x, tokens, normed_.data());
  b.qkv.Run(normed_.data(), tokens, qkv_.data(), threads_);
  StoreKeys(b, tokens);
  b.cache.Attend(qkv_.data(), b.qkv.outputs(), position_, tokens, attended_.data(),
                 b.attention_out.inputs(), threads_);
  b.attention_out.Run(attended_.data(), tokens, added_.data(), threads_);
  add();
  RunNorm(b.before_mlp, x, tokens, normed_.data());
  if (b.mlp_in.CanGate()) {
    b.mlp_in.RunGated(normed_.data(), tokens, active_.data(), threads_);
  } else {
    wide_.Hold(tokens * b.mlp_in.outputs());
    b.mlp_in.Run(normed_.data(), tokens, wide_.data(), threads_);
    Activate(tokens);
  }
  b.mlp_out.Run(active_.data(), tokens, added_.data(), threads_);
  add();
}

Tensor Decoder::Read(std::span<const int32_t> tokens) {
  const auto total = static_cast<int64_t>(tokens.size());
  Require(position_ + total <= context_, model_.path(), ": position ", position_ + total,
          " in a context of ", context_);
  Tensor x = model_.Embed(tokens, position_);
  for (int64_t begin = 0; begin < total; begin += kChunk) {
    const int64_t n = std::min(kChunk, total - begin);
    normed_.Hold(n * c_.hidden), added_.Hold(n * c_.hidden);
    qkv_.Hold(n * blocks_[0].qkv.outputs());
    attended_.Hold(n * c_.heads * c_.head_size);
    active_.Hold(n * c_.feed_forward);
    for (Block& block : blocks_) RunBlock(block, x.data<float>() + begin * c_.hidden, n);
    position_ += n;
  }
  return x;
}

Tensor Decoder::Logits(const Tensor& hidden) const {
  const int64_t rows = hidden.dim(0);
  std::vector<float> normed(hidden.numel());
  RunNorm(last_, hidden.data<float>(), rows, normed.data());
  Tensor y(DType::kFloat32, {rows, c_.vocabulary});
  head_.Run(normed.data(), rows, y.data<float>(), threads_);
  return y;
}

void Decoder::Rewind(int64_t position) {
  Require(position >= 0 && position <= position_, "rewinding to position ", position, " from ",
          position_);
  position_ = position;
}

std::vector<const JoinedLinears*> Decoder::AllLayers() const {
  std::vector<const JoinedLinears*> all{&head_};
  for (const Block& b : blocks_)
    all.insert(all.end(), {&b.qkv, &b.attention_out, &b.mlp_in, &b.mlp_out});
  return all;
}

int64_t Decoder::weight_bytes() const {
  int64_t sum = 0;
  for (const JoinedLinears* l : AllLayers()) sum += l->bytes();
  return sum;
}

int64_t Decoder::multiply_adds() const {
  int64_t sum = 0;
  for (const JoinedLinears* l : AllLayers()) sum += l->multiply_adds();
  return sum;
}

double Decoder::integer_share() const {
  int64_t sum = 0;
  for (const JoinedLinears* l : AllLayers()) sum += l->integers() ? l->multiply_adds() : 0;
  return static_cast<double>(sum) / static_cast<double>(multiply_adds());
}

int64_t Decoder::cache_bytes() const {
  return c_.layers * context_ * KvCache::BytesPerPosition(shape_, kv_);
}

}  // namespace mezzo
