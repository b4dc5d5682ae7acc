// Recovery paths (recovery/network_paths.h) fitted to the cells that a chip has, or to what many
// chips have in common: beside a layer with weights W + BA on paper and cells that multiply by V,
// the path that leaves the least of the outputs' error when it takes up W + BA - V.
//
// What cells multiply by is read from the simulation as if each could be measured; converters and
// read noise do not enter. Over several chips the mean of V does: errors that differ from chip to
// chip are beyond any one path, so only what is common, such as drift, is taken up.
#pragma once

#include <string>
#include <vector>

#include "mezzo/calibrate/collect.h"
#include "mezzo/graph/graph.h"
#include "mezzo/kernels/cim/cim.h"
#include "mezzo/tensor/low_rank.h"

namespace mezzo {

// Noise of a layer's outputs on one chip, as a share of their power: without a path, and with one
// fitted to the chip.
struct ChipRecovery {
  std::string node;
  int64_t rank = 0;
  double noise = 0, left = 0;
};

class ChipPaths {
 public:
  // `qdq` is a file that ApplyPlan made, constants folded, and `lowered` what LowerToIntegers made
  // of it. What layers read comes from the samples 0..count-1.
  ChipPaths(const Graph& qdq, const Graph& lowered, const SampleFn& sample, size_t count,
            const Threads& threads);

  // Layers with paths; the others stay as they are in what follows.
  size_t layers() const { return layers_.size(); }
  int64_t rank() const;  // the highest, 0 without paths
  // The lowered graph without its paths.
  Graph Without() const;
  // With paths of the ranks it has, fitted to these chips.
  Graph FittedTo(const std::vector<CimOptions>& chips) const;
  std::vector<ChipRecovery> Recovered(const CimOptions& chip) const;

 private:
  struct Layer {
    const Node* product;        // on the arrays
    const Node* a;              // multiplies by A
    std::string b;              // the initializer
    LowRank path;               // as stored; rows as WeightRows has them
    std::vector<float> scales;  // by output: a step of the weight
    std::vector<float> h;       // moments of what the layer reads
  };

  CimWeights Codes(const Layer& layer) const;
  Tensor Lack(const Layer& layer, const std::vector<CimOptions>& chips) const;
  LowRank Fit(const Layer& layer, const Tensor& error) const;
  void Set(Graph& graph, const Layer& layer, const LowRank& path) const;

  const Graph& lowered_;
  std::vector<Layer> layers_;
  Threads threads_;
};

}  // namespace mezzo
