// Narrow weights in a file: codes packed in 4-bit initializers, and standard operators that make
// int8 weights of them, which engines run once, when they load the file.
//
// A code of 3, 5 or 6 bits is split into fields of 4, 2 and 1 bits (2 + 1, 4 + 1, 4 + 2), fields
// are packed 4 bits to an element of type uint4, the first lowest, and decoded by a table:
//
//   code  = Gather(table of the field, Cast(fields)) [+ the same of the second field]
//   w8    = Gather(levels, code), or with groups Gather(levels, code + Cast(steps - 1) * 2^bits)
//
// then reshaped to the weight. int4 without groups is Cast(int4 codes). Codes lie in the order of
// the weight's elements; steps as (out, groups, 1, taps), or (groups, 1, out) for (in, out).
// Engines fold Cast, Gather, Add, Mul, Reshape and Slice of constants; OpenVINO does not fold the
// bitwise operators, and neither it nor ONNX Runtime runs a DequantizeLinear of int4 as integers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/algorithm/plan.h"
#include "mezzo/algorithm/weights.h"
#include "mezzo/format/weight_format.h"
#include "mezzo/graph/graph.h"

namespace mezzo {

// What stands for a layer's int8 weights in the file.
struct PackedWeight {
  std::vector<Node> nodes;
  std::map<std::string, Tensor> own;     // initializers of this layer
  std::map<std::string, Tensor> shared;  // the same for all layers of a format
};

// `weight` holds w8. Nodes and initializers are named `prefix` and something short, shared ones
// `shared_prefix`; the last node makes `output`. Throws UsageError if an element is no level of the
// format at its step.
PackedWeight PackWeight(const WeightRows& rows, const Tensor& weight, const WeightFormat& format,
                        int64_t group_size, const std::vector<uint8_t>& steps,
                        const std::string& prefix, const std::string& shared_prefix,
                        const std::string& output);

// Packs the weights of all narrow layers and tables of a plan in the model that ApplyPlan made by
// it.
void PackWeights(Model& qdq, const Plan& plan);

// What a format costs in the written file.
struct PackedBytes {
  int64_t own = 0;  // beyond the layer's int8 weights: negative where it saves
  std::map<std::string, int64_t> shared;  // by name: of each, only once for all layers
};

// Of a quantized layer or a table of `qdq`, as ApplyPlan made it with int8 or any other weights.
// Own bytes of all layers, and shared ones of all names, add up to what the file grows by, but for
// the byte or two that the length of the whole takes less.
PackedBytes BytesOfPacked(const Model& qdq, const Plan& plan, const std::string& layer,
                          const WeightFormat& format, int64_t group_size);

}  // namespace mezzo
