// The one engine of data movement: gathers a strided view into a dense tensor.
#pragma once

#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {

// Writes to y, densely in row-major order, the elements x[sum of i_d * strides[d]] of `item` bytes
// (1, 2, 4 or 8) for all indices below `dims`. Strides count elements, and may be 0 or negative.
void CopyStrided(const void* x, const Shape& dims, const std::vector<int64_t>& strides, void* y,
                 size_t item, const Threads& threads);

// Dimension i of the result is dimension perm[i] of `t` (plain layout).
Tensor TransposeTensor(const Tensor& t, const std::vector<int64_t>& perm, const Threads& threads);

}  // namespace mezzo
