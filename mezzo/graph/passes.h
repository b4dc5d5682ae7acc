// Rewritings of a float graph that change no result beyond rounding.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

// Makes everyone that uses value `from` use `to` instead, graph outputs included, subgraphs
// excluded.
void ReplaceUses(Graph& graph, const std::string& from, const std::string& to);

// Removes Identity, Dropout of inference and Cast to the same type's copies where the value they
// copy can stand in for theirs.
void RemoveCopies(Graph& graph);

// Removes the nodes at these places.
void RemoveNodes(Graph& graph, const std::set<size_t>& gone);

// Removes nodes whose outputs nobody uses, and then initializers nobody uses.
void RemoveUnused(Graph& graph);

// Folds what scales and shifts channels into the weights and bias of the Conv, ConvTranspose or
// Gemm before it: BatchNormalization, and Mul, Div, Add, Sub by constants of one value per channel.
// Computed in double. A folded layer always gets a bias. Returns the names of the nodes that were
// folded away.
//
// METHODS: Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2.
std::vector<std::string> FoldScalesAndShifts(Graph& graph);

}  // namespace mezzo
