// Elementwise functions of several tensors, block by block: what lies between their steps stays in
// the first-level cache.
#pragma once

#include <optional>
#include <vector>

#include "mezzo/kernels/qelementwise/qelementwise.h"
#include "mezzo/kernels/vmath/functions.h"
#include "mezzo/runtime/op.h"

namespace mezzo {

// float32, or codes of bytes and their grid.
struct FunctionInput {
  Tensor t;
  bool constant = false;  // may not be written over
  std::optional<QScale> codes;
};

// The last step's result, of the shape that the inputs (1..vmath::kMaxInputs) broadcast to; with a
// grid its codes. Steps that need no more than smaller inputs are done once for all that these
// serve. Throws UsageError if shapes do not fit together.
Tensor RunFunction(std::vector<vmath::Step> steps, std::vector<FunctionInput> inputs,
                   const QScale* grid, const Threads& threads);

}  // namespace mezzo
