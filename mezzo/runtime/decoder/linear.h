// The linear layers of a language model as the decoder runs them, each in the best form that its
// weights and activations have:
//
//   four-bit codes of whole values, int8 activations    products of integers (GroupGemm)
//   four-bit codes, anything else                       decoded a panel at a time (GroupGemmFloat)
//   int8 codes with a scale for each row                products of integers (RowGemm)
//   float weights                                       Sgemm
//
// Of float activations in 8 bits (mezzo.QuantizeRows), the last three forms multiply what these
// leave of them. A recovery path (import/llm/adapters.h) reads the activations as they are: A x of
// all layers in one product, then B of each added to its outputs, for four-bit codes while they are
// in the cache.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "mezzo/import/llm/model.h"
#include "mezzo/import/llm/quantized.h"
#include "mezzo/kernels/group_gemm/group_gemm.h"
#include "mezzo/kernels/row_gemm/row_gemm.h"
#include "mezzo/kernels/sgemm/sgemm.h"

namespace mezzo {

// Layers that read the same activations; their outputs lie one after the other in a row.
class JoinedLinears {
 public:
  struct Part {
    std::string module;
    int64_t outputs;
  };
  struct Weights {
    StoredMatrix matrix;            // (outputs, inputs)
    Tensor bias;                    // (outputs), or none
    const LowRank* path = nullptr;  // or none
  };
  JoinedLinears() = default;
  JoinedLinears(const LanguageModel& model, int64_t layer, const std::vector<Part>& parts,
                int64_t inputs, const Threads& threads = {});
  // Of layers at hand. `q` says what they read; null: float.
  JoinedLinears(const std::vector<Weights>& layers, int64_t inputs, const LlmQuantization* q,
                const Threads& threads = {});

  int64_t inputs() const { return inputs_; }
  int64_t outputs() const { return outputs_; }
  // Of packed weights.
  int64_t bytes() const;
  int64_t multiply_adds() const { return inputs_ * outputs_; }  // for a token
  bool integers() const;                                        // all products are

  // y (tokens, outputs) from x (tokens, inputs), both dense.
  void Run(const float* x, int64_t tokens, float* y, const Threads& threads) const;
  // Of two layers with as many outputs: y (tokens, outputs / 2) = silu(the first's) * the second's,
  // the bits of Run and vmath::SiluTimes.
  bool CanGate() const;
  void RunGated(const float* x, int64_t tokens, float* y, const Threads& threads) const;

 private:
  struct Layer {
    std::variant<PackedGroups, PackedRows, PackedB> weights;
    std::vector<float> bias;  // or none
    int64_t first;            // of its outputs
    int64_t outputs = 0;
    bool integers = false;       // a GroupGemm
    PackedB b;                   // of its path, if rank > 0
    int64_t rank = 0, path = 0;  // rows of paths_, and the first
  };
  Layer Pack(const Weights& w, const Threads& threads) const;
  void PackPaths(const std::vector<Weights>& layers, const Threads& threads);
  std::vector<float> PathInputs(const float* x, int64_t tokens, const Threads& threads) const;
  // Of a layer of four-bit codes. path_inputs: A x of all layers.
  GroupProduct ProductOf(const Layer& layer, float* y, int64_t y_stride,
                         const float* path_inputs) const;
  GroupActivations Codes(const float* x, int64_t tokens, const Threads& threads) const;
  // The activations that float products read: x, or what 8 bits leave of it in `rounded`.
  const float* Rounded(const float* x, int64_t tokens, std::vector<float>& rounded,
                       const Threads& threads) const;

  int64_t inputs_ = 0, outputs_ = 0, group_ = 0;
  PackedB paths_;  // A of all layers' paths, one below the other
  int64_t ranks_ = 0;
  std::string activations_ = "float";
  int64_t activation_group_ = 0;
  std::vector<Layer> layers_;
};

}  // namespace mezzo
