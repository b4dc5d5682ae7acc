// Parts of the family of index operators that have files of their own, and what they share.
#pragma once

#include "mezzo/runtime/ops/op_util.h"

namespace mezzo {

// `index` counted from the front. Throws UsageError if it is not in [-size, size).
inline int64_t NormalIndex(int64_t index, int64_t size) {
  Require(index >= -size && index < size, "index ", index, " is out of range for a dimension of ",
          size);
  return index < 0 ? index + size : index;
}

// f(i, offset) for every index below `shape`, in row-major order: i counts them, offset is the sum
// of index_d * strides[d].
template <class F>
void ForEachIndex(const Shape& shape, const std::vector<int64_t>& strides, const F& f) {
  const int64_t total = NumElements(shape);
  if (shape.empty()) return f(0, 0);
  const int64_t inner = shape.back(), step = strides.back();
  for (int64_t i = 0; i < total; i += inner) {
    int64_t offset = 0, rest = i / inner;
    for (size_t d = shape.size() - 1; d-- > 0; rest /= shape[d])
      offset += rest % shape[d] * strides[d];
    for (int64_t j = 0; j < inner; ++j) f(i + j, offset + j * step);
  }
}

void AddGathering(OpTable& table);
void AddScattering(OpTable& table);

}  // namespace mezzo
