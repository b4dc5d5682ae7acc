// Multiply-adds of a node and the bytes it moves, from the values that it saw.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mezzo/runtime/session.h"

namespace mezzo {

// What one run of a node amounts to.
struct NodeWork {
  int64_t macs = 0;  // 0 of operators that CountMacs leaves out
  // Inputs, weights and outputs, each once, as large as they are in memory. Of what is only picked
  // from (Gather, Slice) as much as is taken; 0 where the output is the input's memory under
  // another shape.
  int64_t bytes = 0;
  DType dtype = DType::kNone;  // of the first output, like the shape
  Shape shape;
};

// The first output that has a name; empty if there is none.
std::string FirstOutput(const Node& node);

// In the order of graph.nodes, for one run on these inputs. Nodes of subgraphs are not counted.
std::vector<NodeWork> MeasureWork(const Graph& graph, const Session& session,
                                  const TensorMap& inputs);

// By node name, for one run on these inputs: Conv, ConvTranspose, Gemm, MatMul, Einsum-free
// recurrent layers (LSTM, GRU, RNN), and the integer QConv and QMatMul that lowering makes; nodes
// without multiply-adds of that kind are left out. Nodes of subgraphs are not counted.
std::map<std::string, int64_t> CountMacs(const Graph& graph, const Session& session,
                                         const TensorMap& inputs);

}  // namespace mezzo
