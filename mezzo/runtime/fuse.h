// What can be done on the way from one operator to another is. Results stay the same, bit for bit.
// `report`, if given, is the lowering's: what nodes stand for is brought up to date.
#pragma once

#include "mezzo/runtime/lower.h"

namespace mezzo {

// A Cast of what an Expand repeats, where nobody else reads that, comes before it.
void CastBeforeExpand(Graph& graph);

// A QAdd of a QConv's codes, where nobody else reads these, becomes the QConv's input 3 and its
// attributes add_* (those of the QAdd, the QConv being operand a).
void FuseAdditions(Graph& graph, LowerReport* report);

// An Add of a constant with a value per column to a QMatMul's floats, where nobody else reads
// these, becomes the QMatMul's offsets.
void FuseOffsets(Graph& graph, LowerReport* report);

// Elementwise operators that together compute a function of some float tensors and constants, such
// as x * (Erf(x / sqrt(2)) + 1) / 2 or x * Clip(x + shift, 0, 6) * gate, DequantizeLinear before
// and QuantizeLinear behind them become
//   Function(x, ...)   inputs that broadcast; kinds, a, b, constants: the vmath::Steps; rank: of
//                      constants that are numbers, at most; in_scales, in_zero_points: of inputs
//                      that are codes, the scale of others 0; y_type, y_scale, y_zero_point: of
//                      codes, if it ends in them
void FuseFunctions(Graph& graph, LowerReport* report);

// An Add, the LayerNormalization of its rows and a QuantizeLinear of those become
//   AddNormalize(a, b, scale, [bias])   LayerNormalization's attributes; y_type, y_scale,
//                                       y_zero_point: of codes. Outputs: the rows, the sum and the
//                                       codes, those that others read
void FuseNormalization(Graph& graph, LowerReport* report);

// A Softmax over rows and the QuantizeLinear behind it, with the Add of a mask and the Mul or Div
// by a number before it, become
//   Softmax(x, [mask])   kinds, a, b, constants, if there is a number; y_type, y_scale,
//                        y_zero_point: of codes
void FuseSoftmax(Graph& graph, LowerReport* report);

// A QMatMul of two values to floats, the Softmax (above) that alone reads them and the QMatMul that
// alone reads its codes become
//   Attention(q, k, v, [mask])   the attributes of Softmax; those of the QMatMuls, behind "scores_"
//                                and "values_"; q_perm, k_perm, v_perm, y_perm: of Transposes of
//                                the operands and the result, which strides do the work of
void FuseAttention(Graph& graph, LowerReport* report);

// All of them.
void Fuse(Graph& graph, LowerReport* report);

}  // namespace mezzo
