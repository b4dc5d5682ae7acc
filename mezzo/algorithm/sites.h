// Where codes flow: which values of a float graph get a grid when some of its nodes compute in
// integers.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

// A node that can compute in integers, given in the order of the graph.
struct ComputeNode {
  size_t index;        // in graph.nodes
  bool has_weight;     // input 1 is constant
  size_t weight_axis;  // the output channel's axis of the weight
};

// Conv, Gemm and MatMul with constant weights, and MatMul of two activations. What cannot be done
// (ConvTranspose, alpha != 1, bias that is not constant, weights that are not float32) is left out;
// `why`, if given, gets a line for each such node.
std::vector<ComputeNode> FindComputeNodes(const Graph& graph,
                                          std::map<std::string, std::string>* why = nullptr);

// The sites for a given set of quantized compute nodes.
struct Sites {
  // Value that is quantized -> the value whose grid it uses: itself, or where the data came from
  // through operators that only move it (MaxPool, Reshape, Slice, ...).
  std::map<std::string, std::string> root;
  // Of these, the ones made by integer arithmetic: everyone who uses them sees the quantized value.
  std::set<std::string> integer_made;
  // Nodes that read their quantized inputs as codes, by index.
  std::set<size_t> integer_nodes;
};

// `quantized` holds names of compute nodes. Add, Mul, Concat and average pools join where all their
// inputs carry codes and not only the model's outputs get the result; Relu and Clip right after an
// integer node become part of it. The results of the nodes in `in_float` stay uncoded.
Sites FindSites(const Graph& graph, const std::set<std::string>& quantized,
                const std::set<std::string>& in_float = {});

}  // namespace mezzo
