// A language model in another basis of its hidden states (model.h).
#include "mezzo/import/llm/model.h"
#include "mezzo/tensor/rotation.h"

namespace mezzo {

// Of hidden states and of values.
struct LanguageModel::Rotations {
  Rotation hidden, head;
  bool tied;  // before
};

LanguageModel LanguageModel::Rotated() const {
  Require(!gpt2(), path(), ": rotation needs norms without means (RMSNorm), gpt2 has others");
  Require(!config_.quantization && paths_.empty(), path(), ": is quantized already");
  LanguageModel rotated = *this;
  rotated.rotations_ = std::make_shared<Rotations>(
      Rotations{Rotation(config_.hidden, 1), Rotation(config_.head_size, 2), config_.tied});
  rotated.config_.tied = false;  // the head takes the last norm's gains, the embedding does not
  return rotated;
}

std::string LanguageModel::RotatedName(const std::string& name) const {
  return rotations_ && rotations_->tied && name == "lm_head.weight" ? "embed_tokens.weight" : name;
}

void LanguageModel::RotateMatrix(const std::string& module, int64_t layer, Tensor& w) const {
  if (!rotations_) return;
  const Rotation &hidden = rotations_->hidden, &head = rotations_->head;
  const auto gained = [&](const char* norm) {
    const Tensor gains = Stored(Cat(norm, ".weight"), layer, {config_.hidden}).Read();
    for (int64_t r = 0; r < w.dim(0); ++r)
      for (int64_t c = 0; c < w.dim(1); ++c)
        w.data<float>()[r * w.dim(1) + c] *= gains.data<float>()[c];
  };
  if (module == "self_attn.o_proj") head.Rows(w);
  if (module == "self_attn.o_proj" || module == "mlp.down_proj") return hidden.Columns(w);
  if (module.starts_with("self_attn.")) gained("input_layernorm");
  if (module.starts_with("mlp.")) gained("post_attention_layernorm");
  if (module == "lm_head") gained("norm");
  hidden.Rows(w);
  if (module == "self_attn.v_proj") head.Columns(w);
}

void LanguageModel::RotateVector(const std::string& name, Tensor& v) const {
  if (!rotations_) return;
  Tensor column = v.Reshape({v.numel(), 1});
  if (name.ends_with("norm.weight"))
    std::fill_n(v.data<float>(), v.numel(), 1.0f);
  else if (name == "self_attn.v_proj.bias")
    rotations_->head.Columns(column);
  else if (name == "self_attn.o_proj.bias" || name == "mlp.down_proj.bias")
    rotations_->hidden.Columns(column);
}

}  // namespace mezzo
