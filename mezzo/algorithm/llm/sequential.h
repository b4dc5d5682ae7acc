// A language model quantized block by block, linear layer by linear layer: each sees what its
// quantized predecessors make, in the arithmetic that the decoder runs them in. A block's weights
// and the hidden states are in memory at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "mezzo/algorithm/llm/hessian.h"
#include "mezzo/import/llm/quantized.h"
#include "mezzo/runtime/language.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

// A graph cut in front of the nodes named `layers`, so that each part ends where the inputs of the
// next layers are known: parts[0] makes the inputs of the first layers, and so on. The parts, run
// one after the other, make what the graph makes; inputs of a part are outputs of those before it
// or of the graph's inputs.
std::vector<Graph> CutBefore(const Graph& graph, const std::vector<std::string>& layers);

// The linear layers of a block's graph (Gemm with a constant weight), in order; paths beside them
// are none.
std::vector<std::string> LinearLayers(const Graph& graph);

struct QuantizedLinear {
  StoredMatrix matrix;
  std::optional<LowRank> path;
};

struct SequentialSteps {
  // What the layer is to be, given its weight (outputs, inputs) and what it reads.
  std::function<QuantizedLinear(const Node& layer, const Tensor& weight, const Hessian& h)>
      quantize;
  // After each block, with its graph as it was and what the windows have become.
  std::function<void(int64_t block, const Graph& graph, const std::vector<Tensor>& x)> done;
};

// `x` is what block `first` reads, by window: EmbedWindows or what `done` got for the block before;
// `q` says what the quantized layers read.
void QuantizeBlocks(const LanguageModel& model, int64_t first, std::vector<Tensor> x,
                    const LlmQuantization& q, const Threads& threads, const SequentialSteps& steps);

}  // namespace mezzo
