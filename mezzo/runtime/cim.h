// Runs a lowered graph's integer products on simulated compute-in-memory arrays
// (kernels/cim/cim.h).
//
// The operators, domain "mezzo": CimConv and CimMatMul are QConv and QMatMul (lower.h) with
// constant weights, whose sums are those of an array, followed by the same output stage. They have
// the attributes of these, and the options as "cim_..." with the node's name as the layer's. Taps
// outside an image are driven with the zero point's code. Each group of a convolution is an array.
#pragma once

#include <string>
#include <vector>

#include "mezzo/kernels/cim/cim.h"
#include "mezzo/runtime/session.h"

namespace mezzo {

// Integer products with constant weights become Cim operators; all else stays as it is.
// Throws UsageError on options out of range.
Graph OnArrays(const Graph& lowered, const CimOptions& options);

// The options that a Cim node was given.
CimOptions CimOptionsOf(const Node& node);

// What the arrays of QConv, QMatMul or their Cim forms hold for weight w, by group: codes less
// their zero points, a column's rows in the order (window position, input).
std::vector<CimWeights> CimWeightsOf(const Node& node, const Tensor& w);

// What one run of a layer asks of its arrays.
struct CimLayer {
  std::string node;
  int64_t depth = 0, groups = 1;  // rows of an array; arrays beside each other
  int64_t weights = 0;
  int64_t planes = 0;               // the most of any group
  int64_t inputs = 0, outputs = 0;  // codes read and made
  int64_t Macs() const { return outputs * depth; }
};
// The Cim nodes in order. Runs the graph once; a batch of inputs counts as it is.
std::vector<CimLayer> CimLayers(const Graph& on_arrays, const TensorMap& inputs);
// "name (operator)" of the other products: those of two computed tensors, and floats'.
std::vector<std::string> DigitalProducts(const Graph& on_arrays);

}  // namespace mezzo
