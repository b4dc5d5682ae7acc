// Applies a Plan to a float model: the one place where formats become nodes.
#pragma once

#include <string>
#include <vector>

#include "mezzo/algorithm/plan.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// The float graph that plans talk about: constants and copies folded away, scales and shifts (batch
// norms) in the weights. `folded`, if given, gets the names of the nodes that were folded into
// layers.
Model PrepareFloat(Model model, std::vector<std::string>* folded = nullptr);

// The graph that a plan's activations are named in: the prepared one with the plan's equalization.
Model PrepareFor(const Model& model, const Plan& plan);

// The prepared model with QuantizeLinear and DequantizeLinear nodes where `plan` says, placed so
// that every quantized node has a DequantizeLinear at each input, int8 weights (symmetric, per
// output channel), an int32 bias at scale x_scale * w_scale, and, if its result is coded, a
// QuantizeLinear right behind it: the form that ONNX Runtime, OpenVINO and TensorRT fuse. A Relu or
// Clip that the output's grid implies is dropped. Recovery paths stand beside their nodes in float.
//
// Where an int32 bias would overflow, the channel's weight scale is raised until it fits; `notes`,
// if given, says so. Throws UsageError if the plan lacks a grid that is needed, or names nodes that
// the model lacks.
Model ApplyPlan(const Model& prepared, const Plan& plan, std::vector<std::string>* notes = nullptr);

}  // namespace mezzo
