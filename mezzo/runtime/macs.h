// Multiply-adds of a node, from the shapes that it saw.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "mezzo/runtime/session.h"

namespace mezzo {

// By node name, for one run on these inputs: Conv, ConvTranspose, Gemm, MatMul and Einsum-free
// recurrent layers (LSTM, GRU, RNN); nodes without multiply-adds of that kind are left out. Nodes
// of subgraphs are not counted.
std::map<std::string, int64_t> CountMacs(const Graph& graph, const Session& session,
                                         const TensorMap& inputs);

}  // namespace mezzo
