// From Q/DQ to integers: rewrites a graph with QuantizeLinear and DequantizeLinear, as Mezzo, ONNX
// Runtime and others write them, so that what lies between them runs on 8-bit codes.
//
// The operators it makes, domain "mezzo". Codes are uint8 or int8 with one scale and zero point a
// tensor; value = scale * (code - zero_point). Sums are int32 modulo 2^32, all else single
// precision, each operation rounded, in the order written.
//
//   QConv(x, w, [bias])    sum over taps and channels of (x - x_zero_point) * (w -
//   w_zero_points[n]) QMatMul(a, b, [bias])  sum over k of (a[m,k] - a_zero_point) * (b[k,n] -
//   b_zero_points[n]);
//                          transpose_b: b[n,k]
//     then, with bias int32:  v = float(sum + bias[n]) * scales[n] (+ offsets[n], if given)
//     y_type float32:         y = v
//     y_type uint8, int8:     y = clamp(round_half_even(v) + y_zero_point, lo, hi)
//     QConv has Conv's attributes besides; zero points that are all 0 are left out.
//   QAdd(a, b)   v = (a_scale / y_scale) * float(a - a_zero_point)
//                  + (b_scale / y_scale) * float(b - b_zero_point)
//   QMul(a, b)   v = (a_scale * b_scale / y_scale) * float((a - a_zero_point) * (b - b_zero_point))
//   QAveragePool(x), QGlobalAveragePool(x)
//                v = float(sum of x - x_zero_point) * ((x_scale / y_scale) / float(count))
//     each then   y = clamp(round_half_even(v) + y_zero_point, lo, hi)
//   QMaxPool(x)  the largest code
//   QLut(x)      y = table[x as an unsigned byte]: any chain of elementwise operators on one
//   tensor,
//                its entries computed by those very operators; with constants for each channel in
//                the chain there is a table for each channel
//
// A lowered graph gives the codes of the Q/DQ graph run in float, but for values that rounding in
// float moves across a half step (they then differ by 1), and but for float biases, which become
// int32 in steps of x_scale * w_scale where they fit.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mezzo/graph/graph.h"

namespace mezzo {

struct LowerReport {
  struct Float {
    std::string node, op_type, reason;
  };
  struct Source {
    std::string node, op_type;
  };
  std::map<std::string, int> made;  // integer operators by name
  std::vector<Float> kept;          // nodes that compute in float, in order
  // What each node that lowering made stands for, by its first output: the nodes of the graph
  // before that lie between its inputs and its outputs, in order. What reads the same value on its
  // way to two nodes is in both; nodes that stay as they were are not here.
  std::map<std::string, std::vector<Source>> replaced;
  std::vector<std::string> notes;  // what else a user should know, such as a bias that stays float
};

// The graph must be of the IR's opset (ReadOnnx sees to that). Values keep their names where they
// still exist; graph inputs and outputs stay as they are. `report` may be null.
Graph LowerToIntegers(const Graph& qdq, LowerReport* report);

}  // namespace mezzo
