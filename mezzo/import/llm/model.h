// Language models as graphs of the IR, one piece at a time: the weights of a piece are read from
// the mapped checkpoint when its graph is made, and live as long as that.
//
//   Embedding   "ids" int64 (tokens), "positions" int64 (1, tokens)  ->  "x" (tokens, hidden)
//   Block(i)    "x" (tokens, hidden), "positions"                    ->  "y" (tokens, hidden)
//   Head        "x" (rows, hidden)                                   ->  "logits" (rows,
//   vocabulary)
//
// Attention is causal within the tokens of one run. Linear layers are Gemm nodes with transB and
// weights (out, in), named as Hugging Face names their modules: model.layers.3.self_attn.q_proj.
// The two channels that a rotary embedding turns are in the two halves of a head, in whatever order
// the file has them. Where config.json says that activations are quantized (quantized.h), a
// mezzo.QuantizeRows stands before the linear layers. A layer with a recovery path (adapters.h) is
// followed by LAYER.recovery_a, of what the layer reads before that is quantized, and
// LAYER.recovery_b, which adds to the layer's output.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>

#include "mezzo/checkpoint/checkpoint.h"
#include "mezzo/graph/graph.h"
#include "mezzo/import/llm/config.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

// True of the nodes LAYER.recovery_a and LAYER.recovery_b.
inline bool IsRecoveryPath(const Node& node) {
  return node.name.ends_with(".recovery_a") || node.name.ends_with(".recovery_b");
}

class LanguageModel {
 public:
  // A Hugging Face folder (config.json, safetensors), a .gguf, or a llama2.c model (.bin). Throws
  // FileError naming the file and tensor for what is missing or has another shape than the
  // configuration says; UsageError for a path that is none of these.
  static LanguageModel Open(const std::filesystem::path& path);
  // True for a path that Open would try.
  static bool Recognizes(const std::filesystem::path& path);
  // What ReadTokenizer reads a model's tokenizer from: the model, or for llama2.c the tokenizer.bin
  // beside it.
  static std::filesystem::path TokenizerPath(const std::filesystem::path& model);

  // The same function in another basis of the hidden states, and of each head's values, in which no
  // channel is larger than the others: the weights that read or write them are multiplied by random
  // orthogonal matrices (tensor/rotation.h) as they are read, and the norms' gains go into the
  // weights behind them. QuaRot and SpinQuant have this for what can be merged into weights. Not of
  // gpt2, nor of a quantized model: UsageError.
  LanguageModel Rotated() const;
  bool rotated() const { return rotations_ != nullptr; }

  const LlmConfig& config() const { return config_; }
  std::string path() const { return source_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }

  // What a folder of this model needs beside its weights: config.json, and the tokenizer's files.
  // FileError if there is no way to say it in these.
  nlohmann::ordered_json HfConfig() const;
  void CopyTokenizer(const std::filesystem::path& folder) const;

  Graph Embedding() const;
  Graph Block(int64_t i) const;
  Graph Head() const;

  // The parts that graphs are made of, for who runs the model in another way. Modules have their
  // names in Hugging Face's llama or gpt2, without the layers' prefix: "self_attn.q_proj"; layer -1
  // is outside the blocks. FileError for shapes other than those asked for.
  StoredMatrix ReadMatrix(const std::string& module, int64_t layer, const Shape& shape) const;
  Tensor ReadVector(const std::string& name, int64_t layer, int64_t size) const;
  bool Holds(const std::string& name, int64_t layer = -1) const;
  // The recovery path beside a linear layer, or null.
  const LowRank* Path(const std::string& module, int64_t layer, const Shape& shape) const;
  const LowRanks& paths() const { return paths_; }
  bool gpt2() const { return config_.architecture == "gpt2"; }
  std::string HeadModule() const;
  // What the first block reads, (tokens, hidden), row by row from the file. UsageError for an id
  // outside the vocabulary or a position that the model has not.
  Tensor Embed(std::span<const int32_t> ids, int64_t first_position) const;
  // Positions that can be run, and the rotary tables (positions, pairs); not of gpt2.
  int64_t positions() const { return gpt2() ? config_.context : cos_.dim(0); }
  const Tensor& cos() const { return cos_; }
  const Tensor& sin() const { return sin_; }

 private:
  enum class Names { kHuggingFace, kGguf, kLlama2c };
  class Builder;
  struct Rotations;

  void ReadPaths();
  // What the file calls a tensor that Hugging Face calls `name`, of layer `i` or of none.
  std::string FileName(const std::string& name, int64_t i = -1) const;
  // The same of a module whose tensors are called this and more.
  std::string LayerName(const std::string& module, int64_t i) const;
  const StoredTensor& Stored(const std::string& name, int64_t i, const Shape& shape) const;
  // Rows of queries and keys whose pairs are side by side, sorted into halves of their head.
  Tensor HalvesApart(const std::string& module, const Tensor& t) const;
  void EmbedRow(const std::string& module, int64_t row, float* to) const;
  // Of a rotated model: where a tensor is, and what was read, rotated.
  std::string RotatedName(const std::string& name) const;
  void RotateMatrix(const std::string& module, int64_t layer, Tensor& w) const;
  void RotateVector(const std::string& name, Tensor& v) const;

  std::filesystem::path source_;
  LlmConfig config_;
  Names names_ = Names::kHuggingFace;
  std::string prefix_;  // of Hugging Face's names: "model.", "transformer.", or none
  std::shared_ptr<const Checkpoint> checkpoint_;
  LowRanks paths_;
  std::shared_ptr<const Rotations> rotations_;  // or null
  Tensor cos_, sin_;                            // (context, pairs)
};

}  // namespace mezzo
