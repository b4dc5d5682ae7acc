// The one engine of data movement: gathers a strided view into a dense tensor.
#pragma once

#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {

// Writes to y, densely in row-major order, the elements x[sum of i_d * strides[d]] of `item` bytes
// (1, 2, 4 or 8) for all indices below `dims`. Strides count elements, and may be 0 or negative.
void CopyStrided(const void* x, const Shape& dims, const std::vector<int64_t>& strides, void* y,
                 size_t item, const Threads& threads);

// Where in a strided view its rows begin: all dimensions but the last one are walked through in
// row-major order.
class RowWalk {
 public:
  RowWalk(const Shape& dims, const std::vector<int64_t>& strides, size_t first_row);
  int64_t offset() const { return offset_; }
  void Next() {
    for (size_t d = at_.size(); d-- > 0;) {
      offset_ += strides_[d];
      if (++at_[d] < dims_[d]) return;
      at_[d] = 0, offset_ -= dims_[d] * strides_[d];
    }
  }

 private:
  Shape dims_;
  std::vector<int64_t> strides_, at_;
  int64_t offset_ = 0;
};

// Dimension i of the result is dimension perm[i] of `t` (plain layout).
Tensor TransposeTensor(const Tensor& t, const std::vector<int64_t>& perm, const Threads& threads);

}  // namespace mezzo
