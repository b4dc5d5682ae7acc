// A narrow path of high precision beside a matrix: y = W x + B (A x).
#pragma once

#include <map>
#include <string>

#include "mezzo/tensor/tensor.h"

namespace mezzo {

struct LowRank {
  Tensor a;  // (rank, inputs), float32
  Tensor b;  // (outputs, rank), float32

  int64_t rank() const { return a.dim(0); }
};

// The first `rank` columns of B with their rows of A.
LowRank Truncated(const LowRank& path, int64_t rank);

// With the values that bfloat16 holds, in which paths are stored.
LowRank RoundToBFloat16(const LowRank& path);

// By layer.
using LowRanks = std::map<std::string, LowRank>;

}  // namespace mezzo
