// What the fused operators of floats share (fuse.h): steps and grids from attributes, and Softmax
// from scores to codes.
#pragma once

#include <vector>

#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/op.h"

namespace mezzo {

// Attributes kinds, a, b and constants.
std::vector<vmath::Step> StepsOf(const Node& node);
// Attributes y_scale, y_zero_point and y_type.
QScale GridOf(const Node& node);

// The attributes of mezzo:Softmax for scores of one shape and the mask that broadcasts to it (or is
// not defined), which must outlive this.
class CodedSoftmax {
 public:
  // Throws UsageError if the mask does not fit.
  CodedSoftmax(const Node& node, const Tensor& mask, const Shape& scores);

  // Rows first, first + 1, ... of the scores lie at x; their codes go to y.
  void Run(const float* x, size_t first, size_t rows, uint8_t* y) const;
  bool is_signed() const { return grid_.is_signed; }

 private:
  Shape shape_;
  std::vector<vmath::Step> steps_;  // none or one
  QScale grid_;
  Tensor mask_;
  std::vector<int64_t> mask_strides_;
};

}  // namespace mezzo
